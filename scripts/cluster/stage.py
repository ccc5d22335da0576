# SPDX-License-Identifier: Apache-2.0
"""The cluster, the service and the bucket together, and what every fault needs of them."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from sqlalchemy.exc import DBAPIError

from scripts.local_bucket import LocalBucket
from scripts.local_cluster import LocalCluster
from scripts.local_sandbox import LocalSandbox

DAGS = Path(__file__).parent / "dags"
CONNECTION = "dreambooth_default"
# The service's timeout is short, so that what hangs does not hang for long.
EXTRA = {"timeout": 5, "max_connections": 20}
NEVER = float("inf")


class Unexpected(AssertionError):
    """Something is not as it should be."""


@dataclass
class Stage:
    """
    What runs.

    :param folder: of everything that is written.
    :param keys: every API key so far, the valid one last.
    :param began: when it was started, on the monotonic clock.
    """

    folder: Path
    cluster: LocalCluster
    sandbox: LocalSandbox
    bucket: LocalBucket
    keys: list[str]
    began: float

    def say(self, text: str) -> None:
        """One line of the timeline."""
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    # -- the service

    def add(self, count: int, **wishes: Any) -> list[str]:
        """Queue requests that are ready when :meth:`finish` says so."""
        wishes = {"ready_in": NEVER, "width": 64, "height": 64, **wishes}
        return [self.sandbox.add(prompt=f"picture {number}", **wishes) for number in range(count)]

    def finish(self, request_ids: Sequence[str]) -> None:
        """Make requests ready."""
        self.sandbox.finish(request_ids)

    def fetches(self, request_id: str) -> int:
        """How often the service was asked for a request."""
        return int(self.sandbox.told(request_id)["fetches"])

    def until_asked_again(self, request_ids: Sequence[str], seconds: float = 120) -> float:
        """Wait until the service was asked once more for each of these; return how long that took."""
        before = {each: self.fetches(each) for each in request_ids}
        return self.until(
            "every wait goes on",
            lambda: all(self.fetches(each) > count for each, count in before.items()),
            seconds,
        )

    def until_silent(self, request_id: str, seconds: float = 5) -> int:
        """Wait until nobody has asked for a request for a while; return how often it was asked for."""
        seen = [(self.fetches(request_id), time.monotonic())]

        def silent() -> bool:
            if (count := self.fetches(request_id)) != seen[-1][0]:
                seen.append((count, time.monotonic()))
            return time.monotonic() - seen[-1][1] > seconds

        self.until("nobody looks any more", silent, 60)
        return seen[-1][0]

    def use_key(self, key: str) -> None:
        """Put a key into Airflow's connection, in the metadata database."""
        connection = {**json.loads(self.sandbox.connection_json), "password": key}
        self.cluster.api.set_connection(
            {"connection_id": CONNECTION, "extra": json.dumps(EXTRA), **connection}
        )

    def rotate_key(self) -> None:
        """Give Airflow a new key, and have the service refuse the former one."""
        self.keys.append(new_key())
        self.use_key(self.keys[-1])
        self.sandbox.set_key(self.keys[-1])

    def submits(self, prompt: str) -> list[dict[str, Any]]:
        """The submits of a prompt that the service accepted, and billed."""
        every = self.sandbox.submits()
        return [each for each in every if each["body"]["prompt"] == prompt and each["request_id"]]

    # -- Airflow

    def start(self, dag_id: str, **conf: Any) -> str:
        """Start a run."""
        return self.cluster.api.trigger(dag_id, conf)

    def states(self, dag_id: str, run_id: str, task_id: str | None = None) -> Counter[str]:
        """How many of a run's tasks are in which state."""
        query = "select state, task_id from task_instance where dag_id = :dag_id and run_id = :run_id"
        rows = self.cluster.rows(query, dag_id=dag_id, run_id=run_id)
        return Counter(state or "none" for state, name in rows if task_id in (None, name))

    def until(self, what: str, done: Callable[[], bool], seconds: float = 120) -> float:
        """
        Wait for something, while what ends by itself is started again; return how long it took.

        :raises Unexpected: if it takes too long.
        """
        began = time.monotonic()
        while True:
            self.cluster.check()
            try:
                if done():
                    return time.monotonic() - began
                problem = ""
            except (requests.RequestException, DBAPIError) as error:  # what is asked restarts
                problem = f" ({type(error).__name__})"
            if time.monotonic() - began > seconds:
                raise Unexpected(f"waited {seconds:.0f} s for this: {what}{problem}")
            time.sleep(0.5)

    def until_state(
        self, dag_id: str, run_id: str, task_id: str, state: str, count: int = 1, seconds: float = 180
    ) -> float:
        """Wait until so many of a task's instances are in a state."""
        return self.until(
            f"{count} of {dag_id}.{task_id} are {state}",
            lambda: self.states(dag_id, run_id, task_id)[state] >= count,
            seconds,
        )

    def until_over(self, dag_id: str, run_id: str, expected: str = "success", seconds: float = 240) -> float:
        """Wait until a run is over. :raises Unexpected: if it does not end as it should."""
        query = "select state from dag_run where dag_id = :dag_id and run_id = :run_id"

        def state() -> str:
            return str(self.cluster.rows(query, dag_id=dag_id, run_id=run_id)[0][0])

        took = self.until(f"run {dag_id} is over", lambda: state() in ("success", "failed"), seconds)
        expect(f"run {dag_id}", state(), expected)
        return took

    def tries(self, dag_id: str, run_id: str, task_id: str) -> int:
        """The number of a task's last try."""
        query = """
            select try_number from task_instance
            where dag_id = :dag_id and run_id = :run_id and task_id = :task_id
        """
        return int(self.cluster.rows(query, dag_id=dag_id, run_id=run_id, task_id=task_id)[0][0])

    # -- violence

    def kill_worker_of(self, dag_id: str, run_id: str, task_id: str) -> str:
        """End the worker that runs a task, as a power cut would, and start it again; return its name."""
        query = """
            select hostname from task_instance
            where dag_id = :dag_id and run_id = :run_id and task_id = :task_id and state = 'running'
        """
        rows = self.cluster.rows(query, dag_id=dag_id, run_id=run_id, task_id=task_id)
        expect(f"instances of {dag_id}.{task_id} that run", len(rows), 1)
        name = str(rows[0][0])
        self.cluster.kill(name)
        self.cluster.start(name)
        return name

    def triggers(self) -> Counter[str]:
        """How many triggers each triggerer has; '' has those that nobody has."""
        query = """
            select coalesce(job.hostname, ''), count(*) from trigger
            left join job on trigger.triggerer_id = job.id and job.state = 'running' group by 1
        """
        return Counter({str(host): int(count) for host, count in self.cluster.rows(query)})


def expect(what: str, found: object, expected: object) -> None:
    """:raises Unexpected: unless both are equal."""
    if found != expected:
        raise Unexpected(f"{what}: {found!r} instead of {expected!r}")


def new_key() -> str:
    """An API key that is easily found wherever it should not be."""
    return f"canary{secrets.token_hex(12)}"


@contextmanager
def stage(folder: Path, options: Sequence[str] = ()) -> Iterator[Stage]:
    """Start everything, and end it."""
    began, key = time.monotonic(), new_key()
    bucket = LocalBucket(folder / "bucket")
    sandbox = LocalSandbox(folder / "sandbox", *options, key=key)
    cluster = LocalCluster(folder, DAGS, {"AIRFLOW_CONN_BUCKET": bucket.connection_json})
    with bucket, sandbox, cluster:
        made = Stage(folder, cluster, sandbox, bucket, [key], began)
        made.use_key(key)
        yield made
