# SPDX-License-Identifier: Apache-2.0
"""The models: some sleep, because nobody used them for long, until they are reloaded."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Models:
    """Which models exist, and which can be used.

    :param names: all ids, in the order of the list of models.
    :param sleeping: ids that must be reloaded first.
    :param reload_time: seconds.
    """

    def __init__(self, names: Iterable[str], sleeping: Iterable[str], reload_time: float) -> None:
        asleep = tuple(sleeping)
        self._ready_at = dict.fromkeys((*names, *asleep), 0.0) | dict.fromkeys(asleep, math.inf)
        self._reload_time = reload_time

    def __iter__(self) -> Iterator[str]:
        return iter(self._ready_at)

    def __contains__(self, model_id: object) -> bool:
        return model_id in self._ready_at

    def ready(self, model_id: str) -> bool:
        """Whether a model exists and is loaded."""
        return self._ready_at.get(model_id, math.inf) <= time.monotonic()

    def status(self, model_id: str) -> str:
        """What the list of models says; only ``model_ready`` is published, the others are guesses."""
        if self.ready(model_id):
            return "model_ready"
        return "model_unloaded" if math.isinf(self._ready_at[model_id]) else "model_loading"

    def reload(self, model_id: str) -> None:
        """Load a model that sleeps; one that is loaded, or about to be, stays as it is."""
        if math.isinf(self._ready_at[model_id]):
            self._ready_at[model_id] = time.monotonic() + self._reload_time

    def put_to_sleep(self, model_id: str) -> None:
        """Unload a model. :raises KeyError: for an unknown id."""
        if model_id not in self:
            raise KeyError(f"No model is named {model_id!r}.")
        self._ready_at[model_id] = math.inf
