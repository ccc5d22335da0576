# SPDX-License-Identifier: Apache-2.0
"""Answers that do not come: they hang until their time is over, the client leaves, or a test ends it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web


class Silence:
    """All requests that hang. :meth:`end` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    async def keep(self, seconds: float) -> None:
        """Hang for so many seconds, or until :meth:`end`."""
        over = asyncio.Event()
        entry = asyncio.get_running_loop(), over
        self._waiting.add(entry)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), seconds)
        finally:
            self._waiting.discard(entry)

    def end(self) -> int:
        """Let all that hang go on, and return how many they were."""
        waiting = self._waiting.copy()
        for loop, over in waiting:
            loop.call_soon_threadsafe(over.set)
        return len(waiting)


SILENCE = web.AppKey("silence", Silence)
