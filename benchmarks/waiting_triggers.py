# SPDX-License-Identifier: Apache-2.0
"""How 1,000 waiting triggers load one process: stall of the event loop, sockets, CPU.

The peer is a bare aiohttp loop that sends the same polls over one session and parses nothing. Both are run
in turn, several times, against the sandbox in a process of its own; the figures are medians, the ratio is the
median of the pairs'.

    python benchmarks/waiting_triggers.py --triggers 1000 --seconds 10 --rounds 3
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

POKE_INTERVAL = 2.0


@dataclass
class Figures:
    """One run: CPU seconds a thousand polls, the longest stall in ms, polls, and sockets at most."""

    cpu_per_1000: float
    stall_ms: float
    polls: int
    sockets: int


async def stalls(found: list[float]) -> None:
    """Measure how much later than asked for a sleep of 5 ms returns: that long nothing else could run."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        found.append((time.perf_counter() - began - 0.005) * 1000)


def open_sockets() -> int:
    """Count this process's sockets (Linux)."""
    return sum(fd.is_socket() for fd in Path("/proc/self/fd").iterdir())


async def start_gradually(one: Callable[[str], Coroutine[Any, Any, None]], ids: list[str]) -> None:
    """Start them as the triggerer does: some at a time, with the loop free in between."""
    tasks = []
    for number, request_id in enumerate(ids, 1):
        tasks.append(asyncio.create_task(one(request_id)))
        if number % 50 == 0:
            await asyncio.sleep(0.05)
    await asyncio.gather(*tasks)


async def ours(ids: list[str], seconds: float) -> None:
    """Wait for each id with a trigger of its own, as the triggerer does, until the deadline."""
    from airflow_provider_dreambooth.api.batch import Batch
    from airflow_provider_dreambooth.api.polling import PollPolicy
    from airflow_provider_dreambooth.api.request_ids import Requested
    from airflow_provider_dreambooth.triggers.dreambooth import DreamboothFetchTrigger

    async def one(request_id: str) -> None:
        now = time.time()
        batch = Batch(
            [Requested(request_id)],
            began=now,
            deadline=now + seconds,
            policy=PollPolicy(poke_interval=POKE_INTERVAL),
        )
        async for _ in DreamboothFetchTrigger(batch=batch.to_dict()).run():
            pass

    await start_gradually(one, ids)


async def bare(ids: list[str], seconds: float) -> None:
    """Send the same polls with nothing around them: what no trigger can beat."""
    import aiohttp

    connection = json.loads(os.environ["AIRFLOW_CONN_DREAMBOOTH_DEFAULT"])
    url, key = connection["host"] + "/api/v4/dreambooth/fetch", connection["password"]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=10)) as session:

        async def one(request_id: str) -> None:
            end = time.time() + seconds
            while True:
                async with session.post(url, json={"key": key, "request_id": request_id}) as reply:
                    await reply.read()
                if time.time() >= end:
                    return
                await asyncio.sleep(max(min(POKE_INTERVAL, end - time.time()), 0))

        await start_gradually(one, ids)


async def measured(way: Any, ids: list[str], seconds: float, sandbox: Any) -> Figures:
    """Run one way and read the meters."""
    found: list[float] = []
    meter = asyncio.create_task(stalls(found))
    before, cpu = sandbox.polls(), resource.getrusage(resource.RUSAGE_SELF)
    sockets_before = open_sockets()
    run = asyncio.create_task(way(ids, seconds))
    sockets = 0
    while not run.done():
        await asyncio.wait([run], timeout=0.5)
        sockets = max(sockets, open_sockets() - sockets_before)
    await run
    meter.cancel()
    after = resource.getrusage(resource.RUSAGE_SELF)
    polls = sandbox.polls() - before
    spent = after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime
    return Figures(spent / polls * 1000, max(found), polls, sockets)


class SandboxProcess:
    """The service in a process of its own, so that its work does not count as ours."""

    def __enter__(self) -> Self:
        import requests

        self._requests = requests
        with tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "airflow_provider_dreambooth.sandbox",
                    "--port",
                    "0",
                    "--key",
                    "sandbox-key",
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "http://" in line:
                self.url = "http://" + line.split("http://", 1)[1].split()[0].strip("'\",")
                break
        os.environ["AIRFLOW_CONN_DREAMBOOTH_DEFAULT"] = json.dumps(
            {"conn_type": "dreambooth", "host": self.url, "password": "sandbox-key"}
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)

    def add(self) -> str:
        """Queue a request that will not be ready."""
        reply = self._requests.post(
            f"{self.url}/sandbox/requests", json={"prompt": "x", "ready_in": 86400}, timeout=10
        )
        return str(reply.json()["request_id"])

    def polls(self) -> int:
        """Count the fetches received so far."""
        journal = self._requests.get(f"{self.url}/sandbox/journal", timeout=60).json()
        records = journal if isinstance(journal, list) else journal["records"]
        return sum("/fetch" in record["path"] for record in records)


def main() -> None:
    """Run both ways in turn and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--triggers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
        with SandboxProcess() as sandbox:
            ids = [sandbox.add() for _ in range(options.triggers)]
            asyncio.run(ours(ids[:1], 0))  # imports and first look-up are no part of waiting
            gc.freeze()  # nor are the collector's walks over all that Airflow has imported
            rounds = [
                tuple(asyncio.run(measured(way, ids, options.seconds, sandbox)) for way in (ours, bare))
                for _ in range(options.rounds)
            ]
    print(f"{options.triggers} waiting, polled each {POKE_INTERVAL:g} s, {options.rounds} rounds")
    print(f"{'':24}{'triggers':>12}{'bare loop':>12}")
    for label, read in (
        ("CPU s / 1,000 polls", lambda f: f.cpu_per_1000),
        ("longest stall, ms", lambda f: f.stall_ms),
        ("sockets at most", lambda f: float(f.sockets)),
        ("polls", lambda f: float(f.polls)),
    ):
        a, b = (statistics.median(read(pair[n]) for pair in rounds) for n in (0, 1))
        print(f"{label:24}{a:12.2f}{b:12.2f}")
    ratio = statistics.median(pair[0].cpu_per_1000 / pair[1].cpu_per_1000 for pair in rounds)
    print(f"CPU of the triggers is {ratio:.2f} x the bare loop's")


if __name__ == "__main__":
    main()
