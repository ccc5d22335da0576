# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: rounds in turn, fresh processes, meters, and tables in Markdown."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, float]
"""What one measurement found, by name."""


def in_turn(ways: Mapping[str, Callable[[], Figures]], rounds: int) -> list[dict[str, Figures]]:
    """Measure each way once a round, each round beginning with another one: no way has the better times."""
    names = list(ways)
    found = []
    for number in range(rounds):
        first = number % len(names)
        measured = {name: ways[name]() for name in names[first:] + names[:first]}
        found.append({name: measured[name] for name in names})
        print(f"round {number + 1} of {rounds}: {found[-1]}", file=sys.stderr)
    return found


def median(rounds: Sequence[Mapping[str, Figures]], way: str, figure: str) -> float:
    """Take the median of a figure over the rounds."""
    return statistics.median(each[way][figure] for each in rounds)


def ratio(rounds: Sequence[Mapping[str, Figures]], way: str, other: str, figure: str) -> float:
    """Take the median of the rounds' ratios: what slows the machine for a while slows both of a round."""
    return statistics.median(each[way][figure] / each[other][figure] for each in rounds)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table in Markdown; floats with three significant digits."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def fresh(script: str, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> Figures:
    """
    Run ``script --child arguments`` in a process of its own, which no other measurement left its traces in.

    :param arguments: for :func:`child`, which the script's ``main`` calls.
    :param environment: beside a new ``AIRFLOW_HOME`` and this process's own, without its proxies.
    """
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, script, "--child", json.dumps(arguments)],
            env={**kept, "AIRFLOW_HOME": home, **environment},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def child(measure: Callable[..., Figures]) -> bool:
    """Measure and print, if this process is one that :func:`fresh` started."""
    if sys.argv[1:2] != ["--child"]:
        return False
    print(json.dumps(measure(**json.loads(sys.argv[2]))))
    return True


def cpu_seconds() -> float:
    """CPU time of this process until now, of all its threads, in user and system mode."""
    return time.process_time()


def sockets() -> int:
    """Count this process's sockets (Linux)."""
    return sum(link.is_socket() for link in Path("/proc/self/fd").iterdir())


def resident_kib() -> float:
    """Read how much memory this process holds now (Linux), in KiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


class Stalls:
    """
    The event loop's longest stalls, in ms.

    ``wall``: how much later than asked for a sleep of 5 ms returned, as nothing else could run meanwhile.
    ``cpu``: the CPU time of the loop's thread during such a sleep, which other processes do not lengthen.
    Both without ``collector``, the longest walk of Python's garbage collector: it goes over all objects that
    there are, whoever made them.
    """

    SLEEP = 0.005

    def __init__(self) -> None:
        self.wall = self.cpu = self.collector = 0.0
        self._walk_began = (0.0, 0.0)
        self._walked = (0.0, 0.0)

    async def watch(self) -> None:
        """Sleep again and again, until cancelled."""
        gc.callbacks.append(self._collecting)
        try:
            while True:
                began, self._walked = _clocks(), (0.0, 0.0)
                await asyncio.sleep(self.SLEEP)
                wall, cpu = (
                    1000 * (now - then - walked)
                    for now, then, walked in zip(_clocks(), began, self._walked, strict=True)
                )
                self.wall = max(self.wall, wall - 1000 * self.SLEEP)
                self.cpu = max(self.cpu, cpu)
        finally:
            gc.callbacks.remove(self._collecting)

    def _collecting(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._walk_began = _clocks()
            return
        walk = [now - then for now, then in zip(_clocks(), self._walk_began, strict=True)]
        self.collector = max(self.collector, 1000 * walk[1])
        self._walked = (self._walked[0] + walk[0], self._walked[1] + walk[1])


def _clocks() -> tuple[float, float]:
    """Read the wall's clock and that of this thread's CPU time, in seconds."""
    return time.perf_counter(), time.thread_time()
