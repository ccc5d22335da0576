# SPDX-License-Identifier: Apache-2.0
"""What is already at a destination, asked for in few requests however many pictures there are."""

from __future__ import annotations

import threading

from airflow_provider_dreambooth.storage.pictures import SUFFIXES
from airflow_provider_dreambooth.storage.store import Store

_TOGETHER = 4
"""Characters at their end in which names that are listed together may differ: a hundred ids, about."""
_LEAST = 4
"""Characters that names have in common which are listed together: more than that may be in the folder."""


class Existing:
    """
    The pictures that earlier runs left.

    A look at one object costs an object store as much as a list of a thousand, so that similar names
    are listed together; never the whole folder, which may hold the pictures of years.

    :param store: asked when a name's turn comes, from any thread.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: dict[str, threading.Lock] = {}
        self._listed: dict[str, dict[str, int]] = {}

    def sizes(self, name: str) -> dict[str, int]:
        """
        Give the bytes of each picture of this name, by suffix.

        :param name: without suffix.
        :raises StoreFailed: if the store does not tell.
        """
        if self._store.lists:
            stem = name[: max(_LEAST, len(name) - _TOGETHER)]
            with self._locks.setdefault(stem, threading.Lock()):  # who comes second waits for the first
                if stem not in self._listed:
                    self._listed[stem] = self._store.sizes(stem)
            listed = self._listed[stem]
            return {suffix: listed[name + suffix] for suffix in SUFFIXES if name + suffix in listed}
        found = {suffix: self._store.size(name + suffix) for suffix in SUFFIXES}
        return {suffix: size for suffix, size in found.items() if size is not None}
