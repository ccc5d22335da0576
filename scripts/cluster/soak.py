# SPDX-License-Identifier: Apache-2.0
"""
A soak: work goes on and on in a small cluster, and something goes wrong again and again, at random.

``python -m scripts.cluster.soak [--minutes 30] [--seed N] [--folder FOLDER]``
"""

from __future__ import annotations

import argparse
import random
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scripts.cluster.checks import damaged, no_key_anywhere, pictures_in
from scripts.cluster.running import FOLDER, guarded
from scripts.cluster.stage import Stage, Unexpected, expect, stage
from scripts.local_cluster import TRIGGERERS, WORKERS

AT_A_TIME = 3  # runs; as many as two cores do beside the cluster itself
PATIENCE = 420.0  # seconds after the last fault for all runs to be over
REPLIES = ("http_429:1", "http_500", "server_error", "hang", "drop", "cut", "html_200")
REFUSALS = ("http_429:1", "queue_full_2025:2", "queue_full_2025:8")


@dataclass
class Run:
    """One run: what it is to save, and where."""

    dag_id: str
    run_id: str
    request_ids: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    folder: str = ""


@dataclass
class Soak:
    """Everything so far."""

    on: Stage
    chance: random.Random
    runs: list[Run] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    # -- work

    def begin_run(self) -> None:
        """Start a run of a kind at random."""
        number = len(self.runs)
        dag_id = self.chance.choice(("listed", "mapped", "generated"))
        folder = f"{dag_id}-{number}"
        if dag_id == "mapped":
            destination = (self.on.folder / "pictures" / folder).as_uri()
        else:
            destination = f"s3://pictures/{folder}"
        run = Run(dag_id, "", folder=folder)
        given: list[str] | list[list[str]]
        if dag_id == "generated":
            given = run.prompts = [f"prompt {number}.{each}" for each in range(3)]
        else:
            run.request_ids = [
                self.on.sandbox.add(
                    prompt=folder, width=64, height=64, ready_in=round(self.chance.uniform(5, 60))
                )
                for _ in range(20)
            ]
            given = run.request_ids
            if dag_id == "mapped":
                given = [run.request_ids[begin : begin + 5] for begin in range(0, 20, 5)]
        run.run_id = self.on.start(dag_id, given=given, destination=destination)
        self.runs.append(run)

    def under_way(self) -> int:
        """How many runs are not over."""
        query = "select count(*) from dag_run where state not in ('success', 'failed')"
        return int(self.on.cluster.rows(query)[0][0])

    # -- faults

    def kill_triggerer(self) -> None:
        """Kill -9 of a triggerer"""
        self._kill(self.chance.choice(TRIGGERERS))

    def freeze_triggerer(self) -> None:
        """SIGSTOP of a triggerer, for longer than a cluster waits for it"""
        name = self.chance.choice(TRIGGERERS)
        self.on.cluster.processes.signal(name, signal.SIGSTOP)
        self._pass(25)
        self.on.cluster.processes.signal(name, signal.SIGCONT)
        self.on.cluster.expect_news(name)

    def kill_worker(self) -> None:
        """Kill -9 of a worker"""
        self._kill(self.chance.choice(WORKERS))

    def kill_scheduler(self) -> None:
        """Kill -9 of the scheduler"""
        self._kill("scheduler")

    def kill_api_server(self) -> None:
        """Kill -9 of the API server"""
        self._kill("api-server")

    def restart_postgres(self) -> None:
        """Restart of PostgreSQL"""
        self.on.cluster.postgres.restart()
        self.on.cluster.expect_news()

    def rotate_key(self) -> None:
        """A new API key"""
        self.on.rotate_key()

    def bad_replies(self) -> None:
        """Bad replies to fetches"""
        replies = self.chance.choices(REPLIES, k=8)  # few wait at a time, and each pauses longer each time
        self.on.sandbox.script("fetch", replies)

    def refusals(self) -> None:
        """Submits refused for load"""
        self.on.sandbox.script("submit", self.chance.choices(REFUSALS, k=3))

    def _kill(self, name: str) -> None:
        self.on.cluster.kill(name)
        self.on.cluster.start(name)

    def _pass(self, seconds: float) -> None:
        """Let time pass, while what ends by itself is started again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.on.cluster.check()
            time.sleep(0.5)

    # -- all of it

    def go_on(self, minutes: float) -> None:
        """Keep work going and do harm, then let everything end."""
        kinds: tuple[Callable[[], None], ...] = (
            self.kill_triggerer,
            self.freeze_triggerer,
            self.kill_worker,
            self.kill_scheduler,
            self.kill_api_server,
            self.restart_postgres,
            self.rotate_key,
            self.bad_replies,
            self.refusals,
        )
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until:
            self.on.until("Airflow takes another run", self._busy, 240)
            fault = self.chance.choice(kinds)
            self.on.until("the cluster is well", lambda: not self.on.cluster.missing(), 240)
            name = (fault.__doc__ or "").strip()
            self.on.say(f"{len(self.runs)} runs so far; now: {name}")
            fault()
            self.faults[name] += 1
            self._pass(self.chance.uniform(10, 30))
        self.on.until("every run is over", lambda: not self.under_way(), PATIENCE)

    def _busy(self) -> bool:
        while self.under_way() < AT_A_TIME:
            self.begin_run()
        return True

    def check(self) -> str:
        """:raises Unexpected: if a picture is missing, doubled or damaged, or anything was paid twice."""
        accepted = Counter(each["body"]["prompt"] for each in self.on.sandbox.submits() if each["request_id"])
        expect("prompts billed twice", [prompt for prompt, count in accepted.items() if count > 1], [])
        unknown = 0
        pictures = 0
        for run in self.runs:
            [[state]] = self.on.cluster.rows(
                "select state from dag_run where dag_id = :dag_id and run_id = :run_id",
                dag_id=run.dag_id,
                run_id=run.run_id,
            )
            if state == "failed" and run.dag_id == "generated":
                log = self.on.cluster.task_log(run.dag_id, run.run_id, "generate")
                told = log.count('"exc_type":"DreamboothSubmitUnknown"')
                expect(f"whether {run.folder} failed for a submit of unknown fate", told > 0, True)
                unknown += told
                continue
            expect(f"run {run.folder}", state, "success")
            files = pictures_in(self.on, run.folder)
            expected = run.request_ids or [
                each["request_id"]
                for each in self.on.sandbox.submits()
                if each["body"]["prompt"] in run.prompts and each["request_id"]
            ]
            expect(f"damage in {run.folder}", damaged(files, expected), [])
            pictures += len(expected)
        return (
            f"{len(self.runs)} runs, {pictures} pictures saved, {accepted.total()} submits billed, "
            f"none twice; {unknown} submits of unknown fate, each told and not repeated"
        )


def soak(minutes: float, seed: int, folder: Path) -> int:
    """Do it all; return the exit code."""
    print(f"Seed {seed}, {minutes:g} minutes", flush=True)
    with stage(folder, ("--run-time", "5", "40")) as on:
        on.say("The cluster is up and healthy")
        going = Soak(on, random.Random(seed))  # noqa: S311 - it is to be repeatable
        try:
            going.go_on(minutes)
            said = going.check()
            keys = no_key_anywhere(on, None)
        except Unexpected as error:
            on.say(f"NOT AS IT SHOULD BE: {error}")
            return 1
        finally:
            on.say(f"Faults: {dict(going.faults)}; ended by themselves: {dict(on.cluster.restarted)}")
        on.say(f"{said}; no key in any log or table ({keys})")
    return 0


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30, help="of faults")
    parser.add_argument("--seed", type=int, default=None, help="of what happens; printed")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for all that is written")
    options = parser.parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    limit = options.minutes * 60 + PATIENCE + 600
    return guarded(options.folder, limit, lambda: soak(options.minutes, seed, options.folder))


if __name__ == "__main__":
    sys.exit(main())
