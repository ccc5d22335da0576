# SPDX-License-Identifier: Apache-2.0
"""What is already at a destination: found in few requests, and taken where it is the picture wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from airflow_provider_dreambooth.storage.download import DownloadFailed
from airflow_provider_dreambooth.storage.manifest import Holders
from airflow_provider_dreambooth.storage.pictures import (
    SUFFIXES,
    Incomplete,
    LocalPicture,
    NotAPicture,
    PictureInfo,
    read_back,
)
from airflow_provider_dreambooth.storage.records import Picture
from airflow_provider_dreambooth.storage.store import Store

_TOGETHER = 4
"""Characters at their end in which names that are listed together may differ: a hundred ids, about."""
_LEAST = 4
"""Characters that such names have in common at least: with fewer, the whole folder might be listed."""
_KEEP_BOTH = "a name such as {request_id}-{index} keeps both"


class Existing:
    """
    The pictures that earlier runs left.

    A look at one object costs an object store as much as a list of a thousand, so that similar names
    are listed together; never the whole folder, which may hold the pictures of years.

    :param store: asked when a name's turn comes, from any thread.
    :param holders: what is known of the objects that are there.
    :param own_names: no two requests have pictures of the same name.
    """

    def __init__(
        self,
        store: Store,
        *,
        holders: Holders,
        own_names: bool,
        check: Callable[[Path], PictureInfo],
        max_bytes: int,
    ) -> None:
        self._store = store
        self._holders = holders
        self._own_names = own_names
        self._check = check
        self._max_bytes = max_bytes
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

    def take(
        self,
        picture: Picture,
        name: str,
        sizes: dict[str, int],
        path: Path,
        download: Callable[[], LocalPicture],
    ) -> tuple[str, Path, LocalPicture]:
        """
        Read an object back: its URI, a local file of it, and what that is.

        :param sizes: from :meth:`sizes`, not empty.
        :param path: for a copy.
        :param download: called where only the picture itself can tell whether the object is it: an earlier
            task was killed before it could write the manifest.
        :raises DownloadFailed: if it is not whole, not this picture, or nothing tells whether it is.
        """
        suffix, size = next(iter(sizes.items()))
        uri = self._store.uri(name + suffix)
        held = self._holders.get(uri, {})
        known = held.get((picture.request_id, picture.index))
        if held and known is None:
            request_id, index = next(iter(held))
            reason = f"it is picture {index} of request {request_id} ({_KEEP_BOTH})"
        elif size > self._max_bytes:
            reason = f"it has {size:,} bytes, more than 'max_bytes' {self._max_bytes:,}"
        else:
            try:
                there = self._store.get(name + suffix, path)
                local = read_back(there, self._check)
            except (NotAPicture, Incomplete) as found:
                reason = str(found)
            else:
                if known not in (None, local.sha256):
                    reason = "it was replaced: it has other bytes than the manifest says"
                elif known is None and not self._own_names and _of_link(uri, download) != local.sha256:
                    reason = f"it is another picture, of which no manifest tells ({_KEEP_BOTH})"
                else:
                    return uri, there, local
        told = f"{uri} is already there, but not as it should be: {reason}. overwrite=True replaces it"
        raise DownloadFailed(told, final=True)


def _of_link(uri: str, download: Callable[[], LocalPicture]) -> str:
    """Give the SHA-256 of the picture wanted."""
    try:
        return download().sha256
    except DownloadFailed as failed:
        raise DownloadFailed(
            f"{uri} is already there, but neither its name nor a manifest tells whether it is this picture, "
            f"and its link does not either: {failed}. Look at the object: if it is another, overwrite=True "
            f"replaces it once the link answers",
            final=failed.final,
        ) from None
