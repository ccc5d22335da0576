# SPDX-License-Identifier: Apache-2.0
"""Waiting for everything that is waited for on one connection in one event loop.

A trigger only hands in its batch and awaits the end. The looks are made by a few lanes, in the order in
which they fall due over all batches: no task, timer or socket for each request that is waited for.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol, cast

from airflow_provider_dreambooth.api.batch import LAST_ROUND, Batch
from airflow_provider_dreambooth.api.pace import Pace
from airflow_provider_dreambooth.api.polling import MAX_SERVER_DELAY
from airflow_provider_dreambooth.api.replies import Outcome, Refused, Unavailable

LONGEST_SLEEP = 60.0
"""Seconds after which the clock is read again, should it have been set meanwhile."""


class Service(Protocol):
    """What a poller asks."""

    @property
    def pace(self) -> Pace:
        """How fast it may be asked."""

    @property
    def most(self) -> int:
        """Requests under way at once."""

    async def fetch(self, request_id: str) -> Outcome:
        """Ask once for a request; every fault is an outcome."""


@dataclass(eq=False, slots=True)
class _Wait:
    """One caller's wait: its batch, and the instant at which the schedule comes back to it."""

    batch: Batch
    on_change: Callable[[], None]
    over: asyncio.Future[None]
    context: contextvars.Context
    scheduled: float = float("inf")
    awaited: set[str] = field(default_factory=set)
    """Looks under way that may still bring pictures, though a refusal of the account has ended the batch."""


class Poller:
    """
    The schedule of one connection, and the lanes that work it off.

    The lanes are tasks in a context of their own: they belong to no caller, and a caller that is cancelled
    only takes its batch away. Two callers that wait for the same request share each look.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._schedule: list[tuple[float, int, _Wait]] = []
        self._number = count()
        self._waits: dict[str, list[_Wait]] = {}
        self._count = 0
        self._under_way: set[str] = set()
        self._lanes: set[asyncio.Task[None]] = set()
        self._idle = 0
        self._turn = asyncio.Lock()
        self._alarm: asyncio.Future[None] | None = None
        self._alarm_at = 0.0
        self._silent_since: float | None = None

    async def wait(self, batch: Batch, on_change: Callable[[], None]) -> None:
        """
        Wait until each request of a batch has its verdict.

        After the deadline that needs the service: if it gives nobody a usable answer for :data:`LAST_ROUND`
        seconds then, the batch is given up, not kept behind looks that hang or are refused for load.

        :param on_change: is called, in the caller's context, whenever requests got their verdict.
        """
        now = time.time()
        over = asyncio.get_running_loop().create_future()
        wait = _Wait(batch, on_change, over, contextvars.copy_context())
        batch.spread_overdue(now)
        for request_id in batch.waiting_ids:
            self._waits.setdefault(request_id, []).append(wait)
        self._count += 1
        try:
            self._reschedule(wait)
            self._add_lane()
            patient_until = max(batch.deadline, now) + LAST_ROUND
            while not wait.over.done() and now < patient_until:
                await asyncio.wait([wait.over], timeout=patient_until - now)
                now = time.time()
                silent_since = now if self._silent_since is None else self._silent_since
                patient_until = max(patient_until, silent_since + LAST_ROUND)
            if wait.over.done():
                wait.over.result()
            else:
                batch.give_up()
        finally:
            self._remove(wait)

    async def close(self) -> None:
        """End the lanes; what they are asking for is not waited for."""
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)

    def _add_lane(self) -> None:
        if not self._idle and len(self._lanes) < self._service.most:
            self._idle += 1
            # Not in the caller's context: a lane outlives the trigger that happened to need it first.
            lane = asyncio.get_running_loop().create_task(self._lane(), context=contextvars.Context())
            self._lanes.add(lane)

    async def _lane(self) -> None:
        while len(self._lanes) <= self._service.most:  # it may have been lowered
            async with self._turn:  # one lane waits for the next look to fall due, the idle ones for it
                request_id = await self._next()
            self._idle -= 1
            self._add_lane()
            await self._look(request_id)
            self._idle += 1
        self._idle -= 1
        self._lanes.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _next(self) -> str:
        """Sleep until a request is due and may be sent, and take it."""
        while True:
            now = time.time()
            pause = self._schedule[0][0] - now if self._schedule else LONGEST_SLEEP
            if pause <= 0:
                pause = self._service.pace.delay(time.monotonic())
            if pause > 0:
                await self._sleep(min(pause, LONGEST_SLEEP))
                continue
            scheduled, _, wait = heapq.heappop(self._schedule)
            if scheduled != wait.scheduled:  # it has another place meanwhile, or is gone
                continue
            wait.scheduled = float("inf")
            taken = wait.batch.take_due(now, 1)
            self._reschedule(wait)
            if taken and taken[0] not in self._under_way:
                self._under_way.add(taken[0])
                self._service.pace.take(time.monotonic())
                return taken[0]

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless something falls due earlier than was known."""
        loop = asyncio.get_running_loop()
        self._alarm, self._alarm_at = loop.create_future(), time.time() + seconds
        timer = loop.call_later(seconds, _ring, self._alarm)
        try:
            await self._alarm
        finally:
            timer.cancel()
            self._alarm = None

    async def _look(self, request_id: str) -> None:
        sent_at = time.monotonic()
        if self._silent_since is None:
            self._silent_since = time.time()
        try:
            outcome = await self._service.fetch(request_id)
        except Exception as error:  # noqa: BLE001 - it is told to everybody whom it concerns; the lane goes on
            self._under_way.discard(request_id)
            for wait in self._waits.get(request_id, ()):
                _break(wait, error)
            return
        self._under_way.discard(request_id)
        self._learn(outcome, sent_at)
        now = time.time()
        for wait in self._waits.get(request_id, ()):
            self._record(wait, request_id, outcome, now)

    def _learn(self, outcome: Outcome, sent_at: float) -> None:
        now = time.monotonic()
        if not isinstance(outcome, Unavailable):
            self._service.pace.speed_up(now)
        elif outcome.for_load or outcome.retry_after is not None:
            hold = min(outcome.retry_after or 0.0, MAX_SERVER_DELAY)
            self._service.pace.slow_down(now, sent_at=sent_at, hold=hold)
        if not isinstance(outcome, Unavailable) or not (outcome.for_load or outcome.kind == "network"):
            self._silent_since = None

    def _record(self, wait: _Wait, request_id: str, outcome: Outcome, now: float) -> None:
        before = wait.batch.waiting
        try:
            wait.batch.record(request_id, outcome, now)
            if before and isinstance(outcome, Refused) and outcome.account_wide:
                wait.awaited = self._under_way & wait.batch.verdicts.keys()
            wait.awaited.discard(request_id)
            self._reschedule(wait)
            if wait.batch.waiting < before:
                wait.context.run(wait.on_change)
        except Exception as error:  # noqa: BLE001 - what one batch cannot take must not end the lane of all
            _break(wait, error)

    def _reschedule(self, wait: _Wait) -> None:
        """Put a batch where its next look belongs; a place further back is left for it to come by."""
        if not wait.batch.waiting:
            if not wait.over.done() and not wait.awaited:
                wait.over.set_result(None)
            return
        due = wait.batch.next_due
        if due < wait.scheduled:
            wait.scheduled = due
            heapq.heappush(self._schedule, (due, next(self._number), wait))
            if self._alarm is not None and due < self._alarm_at:
                _ring(self._alarm)

    def _remove(self, wait: _Wait) -> None:
        if wait.over.done() and not wait.over.cancelled():
            wait.over.exception()  # whoever is cancelled just then does not ask for it
        for request_id in wait.batch.request_ids:
            if wait in (waits := self._waits.get(request_id, [])):
                waits.remove(wait)
                if not waits:
                    del self._waits[request_id]
        wait.scheduled = float("-inf")  # its places in the schedule are void
        self._count -= 1
        if len(self._schedule) > 2 * self._count + 100:
            self._schedule = [place for place in self._schedule if place[0] == place[2].scheduled]
            heapq.heapify(self._schedule)


def _break(wait: _Wait, error: Exception) -> None:
    if not wait.over.done():
        wait.over.set_exception(error)


def _ring(alarm: asyncio.Future[None]) -> None:
    if not alarm.done():
        alarm.set_result(None)
