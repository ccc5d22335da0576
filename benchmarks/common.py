# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: rounds in turn, fresh processes, meters, and tables in Markdown."""

from __future__ import annotations

import asyncio
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


async def watch_stalls(longest: list[float], every: float = 0.005) -> None:
    """
    Append how much later than asked for each sleep returns, in ms: for that long nothing else could run.

    :param every: seconds to sleep.
    """
    while True:
        began = time.perf_counter()
        await asyncio.sleep(every)
        longest.append((time.perf_counter() - began - every) * 1000)
