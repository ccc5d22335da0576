# SPDX-License-Identifier: Apache-2.0
"""Measure one way to wait, in a process that does nothing else."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import tracemalloc
from dataclasses import dataclass

from common import Figures, Stalls, cpu_seconds, resident_kib, sockets
from service import counter
from ways import WAYS, Load, Wait

CALM = 0.25
"""Seconds between two looks at how far it is."""
PATIENCE = 30.0


@dataclass(frozen=True)
class Meters:
    """
    What is watched beside CPU time and polls; each costs some CPU time itself.

    :param stalls: of the event loop, from the first wait's beginning on; and the most sockets at a time.
    :param objects: memory that Python's objects take, instead of the process's: exact, and much slower.
    """

    stalls: bool = False
    objects: bool = False


def measure(
    way: str, *, seconds: float, stalls: bool = False, objects: bool = False, **load: float
) -> Figures:
    """
    Measure one way, between two instants at which all is being waited for and polls come evenly.

    :param seconds: between these instants.
    :param load: the arguments of :class:`Load`.
    :return: ``ms`` of CPU time a poll, ``polls``, ``per_second`` (polls), ``sockets``; ``stall``,
        ``stall_cpu`` and ``collector`` (ms); and ``kib``, the memory taken since before there was anything to
        wait for.
    """
    shape = Load(**load)
    meters = Meters(stalls, objects)
    wait = WAYS[way](shape)
    gc.collect()
    gc.freeze()  # the collector's walks over all that Airflow imports are not what is compared
    if objects:
        tracemalloc.start()
    memory = _memory(meters)
    figures = asyncio.run(_measure(wait(), shape, seconds, meters))
    return {**figures, "kib": figures["kib"] - memory}


async def _measure(wait: Wait, load: Load, seconds: float, meters: Meters) -> Figures:
    polls = counter(os.environ["BENCHMARK_COUNTER"])
    open_sockets, stalls = sockets(), Stalls()
    watch = asyncio.create_task(stalls.watch()) if meters.stalls else None
    enough = polls[0] + 1.5 * load.count
    waiting = asyncio.create_task(wait)
    most, patience = 0, time.monotonic() + PATIENCE + 10 * load.interval
    while polls[0] < enough:
        await _beside(waiting, CALM)
        most = max(most, sockets())
        if time.monotonic() > patience:
            raise RuntimeError(f"after {PATIENCE:g} s and 10 intervals there were too few polls")
    began, polled, spent = time.perf_counter(), polls[0], cpu_seconds()
    for _ in range(max(round(seconds / CALM), 1) if meters.stalls else 1):
        await _beside(waiting, CALM if meters.stalls else seconds)
        most = max(most, sockets())
    spent, polled = cpu_seconds() - spent, polls[0] - polled
    took = time.perf_counter() - began
    if watch:
        watch.cancel()
        await asyncio.wait([watch])
    gc.collect()
    taken = _memory(meters)
    waiting.cancel()
    await asyncio.wait([waiting])
    return {
        "ms": 1000 * spent / polled,
        "polls": polled,
        "per_second": polled / took,
        "sockets": most - open_sockets,
        "stall": stalls.wall,
        "stall_cpu": stalls.cpu,
        "collector": stalls.collector,
        "kib": taken,
    }


def _memory(meters: Meters) -> float:
    return tracemalloc.get_traced_memory()[0] / 1024 if meters.objects else resident_kib()


async def _beside(waiting: asyncio.Task[None], seconds: float) -> None:
    """Let it wait; a wait that ends has failed."""
    await asyncio.wait([waiting], timeout=seconds)
    if waiting.done():
        waiting.result()
        raise RuntimeError("a wait that should never end ended")
