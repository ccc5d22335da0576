# SPDX-License-Identifier: Apache-2.0
"""The trigger of a task that has nothing to ask for a while, and needs no worker slot for that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dreambooth.api.packing import EVENT_VERSION


class DreamboothPauseTrigger(BaseTrigger):
    """
    Wait until a moment, then yield one event ``{"version": 1, "state": …}``.

    :param until: epoch seconds.
    :param state: what the task wants to know again then, JSON primitives.
    """

    def __init__(self, until: float = 0.0, state: dict[str, Any] | None = None, **later: Any) -> None:
        # As in DreamboothFetchTrigger: a raise in here would end the whole triggerer.
        super().__init__()  # type: ignore[no-untyped-call]
        self.until = until
        self.state = state

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Name the class and its arguments, JSON primitives all of them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"until": self.until, "state": self.state},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        await asyncio.sleep(max(self.until - time.time(), 0.0))
        yield TriggerEvent({"version": EVENT_VERSION, "state": self.state})
