# SPDX-License-Identifier: Apache-2.0
"""The jobs of the service and the timetable by which they are done."""

from __future__ import annotations

import heapq
import math
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dreambooth.sandbox.orders import SUFFIX, Order
from airflow_provider_dreambooth.sandbox.script import Plan, Script


@dataclass
class Job:
    """One request id: its order, its time, and what is to go wrong with it.

    :param ready_at: on the clock of :func:`time.monotonic`; infinite if only :meth:`finish` ends it.
    :param eta: seconds, as the service would tell them (wrong if so wished).
    :param output: overrides the links; any JSON value.
    """

    request_id: str
    order: Order
    run_time: float
    ready_at: float
    eta: float
    replies: Script = field(default_factory=Script)
    picture_faults: tuple[Script, ...] = ()
    suffixes: tuple[str, ...] = ()
    output: Any = None
    ends_as: Plan | None = None
    account: int = 0
    picture_requests: list[int] = field(init=False)
    picture_first: list[float | None] = field(init=False)

    def __post_init__(self) -> None:
        self.picture_requests = [0] * self.order.samples
        self.picture_first = [None] * self.order.samples

    @property
    def number(self) -> int | str:
        """The id as the service writes it at the top of a reply: an int."""
        return int(self.request_id) if self.request_id.isdecimal() else self.request_id

    @property
    def ready(self) -> bool:
        """Whether the run time is over."""
        return time.monotonic() >= self.ready_at

    @property
    def ready_time(self) -> float | None:
        """The time at which it is or was ready, in seconds since the epoch; None if nobody knows."""
        return None if math.isinf(self.ready_at) else time.time() + self.ready_at - time.monotonic()

    def finish(self) -> None:
        """Make it ready now."""
        self.ready_at = min(self.ready_at, time.monotonic())

    @property
    def file_prefix(self) -> str:
        """The random part of the picture's file name (here it follows from the id)."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"dreambooth-sandbox/{self.request_id}"))

    def links(self, base: str) -> Any:
        """What ``output`` is going to be, with pictures under the address ``base``."""
        if self.output is not None:
            return self.output
        stem = f"{base}/pictures/generations/{self.file_prefix}"
        return [f"{stem}-{index}{self._suffix(index)}" for index in range(self.order.samples)]

    def _suffix(self, index: int) -> str:
        if index < len(self.suffixes) and self.suffixes[index]:
            return self.suffixes[index]
        return ".base64" if self.order.base64 else SUFFIX[self.order.format]


class Timetable:
    """When a job will be ready if at most ``max_parallel`` run at a time and the others wait their turn.

    Run times are known beforehand: all is settled when a job comes in, nothing runs in the background.

    :param max_parallel: None for no limit.
    """

    def __init__(self, max_parallel: int | None) -> None:
        if max_parallel is not None and max_parallel < 1:
            raise ValueError("max_parallel is at least 1, or None for no limit.")
        self._max_parallel = max_parallel
        self._busy_until: list[float] = []

    def book(self, run_time: float) -> float:
        """The time at which a job that comes in now and runs for ``run_time`` seconds is ready."""
        start = time.monotonic()
        if self._max_parallel is None or math.isinf(run_time):
            return start + run_time
        if len(self._busy_until) == self._max_parallel:
            start = max(start, heapq.heappop(self._busy_until))
        heapq.heappush(self._busy_until, start + run_time)
        return start + run_time


def seeded(*parts: object) -> random.Random:
    """A generator that gives the same numbers for the same parts, whatever happened before."""
    return random.Random("/".join(map(str, parts)))  # noqa: S311 - it is to be repeatable
