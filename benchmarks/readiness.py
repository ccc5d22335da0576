# SPDX-License-Identifier: Apache-2.0
"""From readiness to event, and requests a job: our sensor and the official HttpSensor in a real Airflow.

    python benchmarks/readiness.py [--rounds 3] [--jobs 40] [--sqlite] [--smoke]

Scheduler, DAG processor, API server and triggerer run as processes of their own on a PostgreSQL of their own;
the service is the sandbox. Each way to wait is a DAG with one sensor mapped over the same jobs; the DAGs run
in turn, in every round in another order. A job is submitted at the moment its sensor begins.

Run times are log-normal (median 30 s, 95th percentile 180 s, which is also the longest), the ``eta`` is wrong
by a factor between 0.5 and 2. Run times, etas and the poke interval of 5 s are all divided by ``--scale``;
what Airflow itself needs is not, so that a scale above 1 shows less of the difference than there is.

What is measured, on one machine's clock:

- readiness: when the sandbox says that the job was done;
- notice: when the poll that found it so came to the sandbox;
- event: when the task instance left ``deferred`` in the metadata database, written down by a trigger of the
  database itself. From here on the ways are alike: a worker takes the task up again;
- requests: what the sandbox was asked for the job, by worker and triggerer.

The HttpSensor is given what it lacks. Deferred, it looks at the status code only and waits for as long as
that is 404, while this service answers 200 and says "processing" in the body; given a ``response_check`` it
does not defer at all, but pokes from a worker. So a translator (benchmarks/translator.py) stands between it
and the service and answers 404 until the picture is ready: a service that a user would have to write and
run. ``--ways http_reschedule`` adds what works without one, a ``response_check`` in mode ``reschedule``;
there the event is the success of the task, and each look is a task of its own: with many jobs it measures
the workers.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Engine, create_engine, text

from benchmarks.common import Figures, in_turn, median, ratio, table
from scripts.airflow_api import FINISHED
from scripts.local_airflow import LocalAirflow
from scripts.local_postgres import LocalPostgres
from scripts.local_sandbox import KEY, LocalSandbox
from scripts.local_server import free_port
from scripts.processes import Processes

HERE = Path(__file__).parent
WAYS = {
    "eta": "ours, eta known",
    "no_eta": "ours, no eta",
    "http": "HttpSensor, deferred, behind a translator",
    "http_reschedule": "HttpSensor, rescheduled",
}
PEER = "http"
MEDIAN, PERCENTILE_95 = 30.0, 180.0  # seconds of run time
POKE_INTERVAL = 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Every change of a sensor's state, with the time; PostgreSQL's now() would be that of the transaction.
RECORD_CHANGES = """
    CREATE TABLE state_changes
        (dag_id TEXT, run_id TEXT, map_index INT, before TEXT, after TEXT, at DOUBLE PRECISION);
"""
RECORD = (
    "INSERT INTO state_changes VALUES (new.dag_id, new.run_id, new.map_index, old.state, new.state, {now});"
)
ON_POSTGRES = f"""
    CREATE FUNCTION record_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        {RECORD.format(now="extract(epoch FROM clock_timestamp())")} RETURN NULL;
    END $$;
    CREATE TRIGGER record_change AFTER UPDATE OF state ON task_instance FOR EACH ROW
        WHEN (old.state IS DISTINCT FROM new.state) EXECUTE FUNCTION record_change();
"""
ON_SQLITE = f"""
    CREATE TRIGGER record_change AFTER UPDATE OF state ON task_instance
        WHEN old.state IS NOT new.state
        BEGIN {RECORD.format(now="(julianday('now') - 2440587.5) * 86400")} END;
"""


@dataclass(frozen=True)
class Wait:
    """One job, waited for: seconds from its readiness to the notice and to the event, and requests."""

    notice: float
    event: float
    requests: int


def draw_jobs(count: int, seed: int, scale: float) -> list[dict[str, float]]:
    """Run times at even steps of their distribution, in random order, and etas that err at random."""
    chance = random.Random(seed)
    spread = math.log(PERCENTILE_95 / MEDIAN) / statistics.NormalDist().inv_cdf(0.95)
    times = statistics.NormalDist(math.log(MEDIAN), spread)
    steps = [times.inv_cdf((number + 0.5) / count) for number in range(count)]
    chance.shuffle(steps)
    jobs = []
    for step in steps:
        ready_in = min(math.exp(step), PERCENTILE_95) / scale
        jobs.append({"ready_in": ready_in, "eta": ready_in * 2 ** chance.uniform(-1, 1)})
    return jobs


class Cluster:
    """An Airflow that has the DAGs, the service that they ask, and the database that knows when."""

    def __init__(self, airflow: LocalAirflow, sandbox: LocalSandbox, database: Engine) -> None:
        self._airflow, self._sandbox, self._database = airflow, sandbox, database
        with database.begin() as connection:
            native = ON_SQLITE if database.dialect.name == "sqlite" else ON_POSTGRES
            for statement in (RECORD_CHANGES, native):
                connection.exec_driver_sql(statement)

    def run(self, way: str, number: int, jobs: Sequence[dict[str, float]]) -> list[Wait]:
        """
        Wait for these jobs in one way.

        :raises RuntimeError: unless each was noticed and had its event. Whether the task succeeds afterwards
            does not matter: Airflow 3.3 fails some that are resumed soon after they were deferred, of any
            sensor (its issue 72716).
        """
        ids = [f"{way}-{number}-{index}" for index in range(len(jobs))]
        asked = [{"request_id": each, **job} for each, job in zip(ids, jobs, strict=True)]
        run_id = self._airflow.api.trigger(way, {"jobs": asked})
        state = self._end_of(run_id)
        noticed: dict[str, float] = {}
        for record in self._sandbox.journal():
            if record["answered_as"] == "success":
                noticed.setdefault(record["request_id"], record["time"])
        events = self._events(run_id)
        waits = []
        for index, request_id in enumerate(ids):
            told = self._sandbox.told(request_id)
            ready, event = told["ready_at"], events.get(index)
            if event is None or request_id not in noticed:
                raise RuntimeError(f"{way}: the run is {state}, and {request_id} was not waited for")
            waits.append(Wait(noticed[request_id] - ready, event - ready, told["fetches"]))
        return waits

    def _end_of(self, run_id: str, seconds: float = 1800) -> str:
        deadline = time.monotonic() + seconds
        query = text("SELECT state FROM dag_run WHERE run_id = :run_id")
        while True:
            self._airflow.processes.check()
            self._sandbox.processes.check()
            with self._database.connect() as connection:
                state = str(connection.execute(query, {"run_id": run_id}).scalar_one())
            if state in FINISHED or time.monotonic() > deadline:
                return state
            time.sleep(0.5)

    def _events(self, run_id: str) -> dict[int, float]:
        """When each mapped task first left deferred, or, if it never was, when it succeeded."""
        query = text(
            "SELECT map_index, min(CASE before WHEN 'deferred' THEN at END) AS resumed,"
            " min(CASE after WHEN 'success' THEN at END) AS succeeded"
            " FROM state_changes WHERE run_id = :run_id GROUP BY map_index"
        )
        with self._database.connect() as connection:
            rows = connection.execute(query, {"run_id": run_id}).all()
        found = {row.map_index: row.resumed or row.succeeded for row in rows}
        return {index: event for index, event in found.items() if event is not None}


@contextmanager
def cluster(folder: Path, poke_interval: float, *, sqlite: bool) -> Iterator[Cluster]:
    """Start everything; end it, whatever happens."""
    with ExitStack() as stack:
        url = None if sqlite else stack.enter_context(LocalPostgres()).url
        sandbox = stack.enter_context(LocalSandbox(folder / "sandbox"))
        translator, port = stack.enter_context(Processes(folder / "translator")), str(free_port())
        command = [sys.executable, str(HERE / "translator.py"), port, sandbox.url, KEY]
        translator.start("translator", command, os.environ)
        service = {"conn_type": "http", "host": sandbox.url, "password": KEY}
        env = {
            "AIRFLOW_CONN_DREAMBOOTH_DEFAULT": sandbox.connection_json,
            "AIRFLOW_CONN_HTTP_DEFAULT": json.dumps(
                {"conn_type": "http", "host": f"http://127.0.0.1:{port}"}
            ),
            "AIRFLOW_CONN_THE_SERVICE": json.dumps(service),
            "READINESS_SERVICE": sandbox.url,
            "READINESS_POKE_INTERVAL": str(poke_interval),
        }
        airflow = stack.enter_context(
            LocalAirflow(folder / "airflow", HERE / "readiness_dags", env=env, database_url=url)
        )
        engine = create_engine(airflow.database_url)
        stack.callback(engine.dispose)
        yield Cluster(airflow, sandbox, engine)


def figures(waits: Sequence[Wait]) -> Figures:
    """What the table tells of one way in one round."""
    events, notices = [wait.event for wait in waits], [wait.notice for wait in waits]
    return {
        "event, mean s": statistics.mean(events),
        "event, median s": statistics.median(events),
        "notice, mean s": statistics.mean(notices),
        "notice, median s": statistics.median(notices),
        "requests a job": statistics.mean(wait.requests for wait in waits),
    }


def _end(number: int, _: object) -> NoReturn:
    for each in SIGNALS:  # once is enough
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> None:
    """Run the ways in turn and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=40, help="jobs a way and round")
    parser.add_argument(
        "--scale", type=float, default=2.5, help="how much shorter than in life all times are"
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["eta", "no_eta", "http"])
    parser.add_argument("--sqlite", action="store_true", help="instead of PostgreSQL")
    parser.add_argument("--folder", type=Path, help="where logs are kept; a temporary one if not given")
    parser.add_argument("--smoke", action="store_true", help="tiny, on SQLite, to see that it runs")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.jobs, options.scale, options.sqlite = 1, 3, 10.0, True
    for each in SIGNALS:
        signal.signal(each, _end)
    poke_interval = POKE_INTERVAL / options.scale
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="readiness-")))
        running = stack.enter_context(cluster(folder, poke_interval, sqlite=options.sqlite))
        jobs = [draw_jobs(options.jobs, seed, options.scale) for seed in range(options.rounds)]

        def one_after_the_other(way: str) -> Callable[[], Figures]:
            each = enumerate(jobs)
            return lambda: figures(running.run(way, *next(each)))

        rounds = in_turn({way: one_after_the_other(way) for way in options.ways}, options.rounds)
    names = list(rounds[0][options.ways[0]])
    compared = [name for name in names if "median" not in name] if PEER in options.ways else []
    rows = [
        [
            WAYS[way],
            *(median(rounds, way, name) for name in names),
            *(f"{ratio(rounds, way, PEER, name):.2f}" for name in compared),
        ]
        for way in options.ways
    ]
    database = "SQLite" if options.sqlite else "PostgreSQL"
    print(
        f"{options.rounds} rounds of {options.jobs} jobs, poke interval {poke_interval:g} s, run times"
        f" divided by {options.scale:g}, metadata in {database}\n"
    )
    print(table(["way", *names, *(f"{name} / HttpSensor" for name in compared)], rows))


if __name__ == "__main__":
    main()
