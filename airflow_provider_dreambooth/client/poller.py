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
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from airflow_provider_dreambooth.api.batch import LAST_ROUND, Batch
from airflow_provider_dreambooth.api.pace import Pace
from airflow_provider_dreambooth.api.polling import MAX_SERVER_DELAY
from airflow_provider_dreambooth.api.replies import Outcome, Unavailable

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
    scheduled: float = float("inf")


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
        self._waits: dict[str, tuple[_Wait, ...]] = {}
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

        After the deadline that needs the service: if it is silent for :data:`LAST_ROUND` seconds then, the
        batch is given up instead of queueing behind looks that hang.

        :param on_change: is called whenever requests got their verdict.
        """
        now = time.time()
        wait = _Wait(batch, on_change, asyncio.get_running_loop().create_future())
        batch.spread_overdue(now)
        for request_id in batch.waiting_ids:
            self._waits[request_id] = (*self._waits.get(request_id, ()), wait)
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
        while True:
            async with self._turn:  # one lane waits for the next look to fall due, the idle ones for it
                request_id = await self._next()
            self._idle -= 1
            self._add_lane()
            await self._look(request_id)
            self._idle += 1

    async def _next(self) -> str:
        """Sleep until a request is due and may be sent, and take it."""
        while True:
            now = time.time()
            pause = self._schedule[0][0] - now if self._schedule else LONGEST_SLEEP
            if pause <= 0:
                pause = self._service.pace.take(time.monotonic())
            if pause > 0:
                await self._sleep(min(pause, LONGEST_SLEEP))
                continue
            scheduled, _, wait = heapq.heappop(self._schedule)
            if scheduled != wait.scheduled:  # it has another place meanwhile, or is gone
                continue
            wait.scheduled = float("inf")
            for request_id in wait.batch.take_due(now, 1):
                if request_id not in self._under_way:
                    self._under_way.add(request_id)
                    self._reschedule(wait)
                    return request_id
            self._reschedule(wait)

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
                if not wait.over.done():
                    wait.over.set_exception(error)
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
        elif outcome.kind == "network":
            return
        elif outcome.for_load or outcome.retry_after is not None:
            hold = min(outcome.retry_after or 0.0, MAX_SERVER_DELAY)
            self._service.pace.slow_down(now, sent_at=sent_at, hold=hold)
        self._silent_since = None

    def _record(self, wait: _Wait, request_id: str, outcome: Outcome, now: float) -> None:
        before = wait.batch.waiting
        wait.batch.record(request_id, outcome, now)
        self._reschedule(wait)
        if wait.batch.waiting < before:
            wait.on_change()

    def _reschedule(self, wait: _Wait) -> None:
        """Put a batch where its next look belongs; a place further back is left for it to come by."""
        if not wait.batch.waiting:
            # A look under way may still bring pictures, where a refusal of another has ended them all.
            if not wait.over.done() and self._under_way.isdisjoint(wait.batch.verdicts):
                wait.over.set_result(None)
            return
        due = wait.batch.next_due
        if due < wait.scheduled:
            wait.scheduled = due
            heapq.heappush(self._schedule, (due, next(self._number), wait))
            if self._alarm is not None and due < self._alarm_at:
                _ring(self._alarm)

    def _remove(self, wait: _Wait) -> None:
        wait.scheduled = float("-inf")  # its places in the schedule are void
        for request_id in wait.batch.request_ids:
            others = tuple(one for one in self._waits.pop(request_id, ()) if one is not wait)
            if others:
                self._waits[request_id] = others


def _ring(alarm: asyncio.Future[None]) -> None:
    if not alarm.done():
        alarm.set_result(None)
