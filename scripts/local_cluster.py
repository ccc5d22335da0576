# SPDX-License-Identifier: Apache-2.0
"""Airflow as a cluster runs it: PostgreSQL, Redis, Celery; two triggerers, two workers; and a keeper."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from scripts.local_airflow import COMPONENT, COMPONENTS, LocalAirflow
from scripts.local_postgres import LocalPostgres
from scripts.local_redis import LocalRedis

TRIGGERERS = ("triggerer-1", "triggerer-2")
WORKERS = ("worker-1", "worker-2")
SLOTS = 3  # tasks that a worker runs at a time
PATIENCE = 5  # times that a component is started again
# How soon a cluster takes notice of what is dead. Airflow's own values are in docs/reliability.md.
SETTINGS = {
    "CORE__EXECUTOR": "CeleryExecutor",
    "CORE__PARALLELISM": 16,
    "CELERY__WORKER_CONCURRENCY": SLOTS,
    "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": 60,
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": 10,
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 10,
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 20,
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 3,
    "SCHEDULER__TASK_QUEUED_TIMEOUT": 60,
    "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": 10,
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 10,
}
# Each component is a host of its own to Airflow, which finds this module in the folder `config` of its home.
NAMING = f'import os\n\n\ndef name():\n    return os.environ["{COMPONENT}"]\n'
JOBS = """
    select hostname, max(latest_heartbeat) from job
    where job_type in ('SchedulerJob', 'DagProcessorJob', 'TriggererJob') and state = 'running'
    group by hostname
"""


class LocalCluster(LocalAirflow):
    """
    Run a cluster; a context manager that starts it, waits until all of it is healthy, and ends it.

    What ends by itself is started again by :meth:`check`, as systemd or Kubernetes does.

    :param folder: for everything that it writes.
    :param dags: the folder of DAGs.
    :param env: further environment of all components.
    """

    def __init__(self, folder: Path, dags: Path, env: Mapping[str, str]) -> None:
        from celery import Celery  # of the group `cluster`: what only reads this module does without

        self.postgres, self.redis = LocalPostgres(), LocalRedis(folder / "redis")
        settings = {f"AIRFLOW__{name}": str(value) for name, value in SETTINGS.items()}
        broker = {"AIRFLOW__CELERY__BROKER_URL": self.redis.url}
        naming = {"AIRFLOW__CORE__HOSTNAME_CALLABLE": "component_name.name"}
        super().__init__(
            folder / "airflow",
            dags,
            env={**settings, **broker, **naming, **env},
            database_url=self.postgres.url,
            components=_components(folder),
        )
        self.restarted: Counter[str] = Counter()
        self._engine = create_engine(self.database_url, pool_pre_ping=True)
        self._celery = Celery(broker=self.redis.url, set_as_current=False)
        config = self.home / "config"
        config.mkdir(exist_ok=True)
        (config / "component_name.py").write_text(NAMING)

    def rows(self, query: str, **values: Any) -> list[Any]:
        """Ask the metadata database."""
        with self._engine.connect() as connection:
            return list(connection.execute(text(query), values))

    def dump(self) -> dict[str, bytes]:
        """Every table of the metadata database, as PostgreSQL prints it."""
        tables = "select tablename from pg_tables where schemaname = 'public' order by 1"
        return {
            table: "\n".join(str(row) for (row,) in self.rows(f'select t::text from "{table}" t')).encode()  # noqa: S608 - its own names
            for (table,) in self.rows(tables)
        }

    def check(self) -> None:
        """Start again what has ended by itself. :raises ProcessDied: if it does so again and again."""
        self.postgres.processes.check()
        self.redis.processes.check()
        if max(self.restarted.values(), default=0) >= PATIENCE:
            super().check()
        for name in self.processes.ended():
            self.restarted[name] += 1
            self.start(name)

    def begin(self) -> None:
        """Start its stores, then all components, and wait until they are healthy."""
        self.redis.begin()
        self.postgres.begin()
        super().begin()

    def stop(self) -> None:
        """End everything that was started."""
        with contextlib.ExitStack() as ends:  # each, whatever the others do
            ends.callback(self.redis.stop)
            ends.callback(self.postgres.stop)
            ends.callback(self._celery.close)
            ends.callback(self._engine.dispose)
            super().stop()

    def missing(self) -> list[str]:
        """The components that have not reported since they were started."""
        beats = {host: beat for host, beat in self.rows(JOBS) if beat}
        never = datetime.min.replace(tzinfo=UTC)
        pings: list[dict[str, Any]] = self._celery.control.ping(timeout=1) or []
        workers = {name.partition("@")[2] for pong in pings for name in pong}
        missing = []
        for name, started in self._started.items():
            if name == "api-server":
                well = bool(self.api.health())
            elif name in WORKERS:
                well = name in workers
            else:
                well = beats.get(name, never) > started
            if not well:
                missing.append(name)
        return missing


def _components(folder: Path) -> dict[str, tuple[str, ...]]:
    single = {name: COMPONENTS[name] for name in ("api-server", "scheduler", "dag-processor")}
    triggerers = dict.fromkeys(TRIGGERERS, ("triggerer", "--skip-serve-logs"))
    options = ("--skip-serve-logs", "--without-mingle", "--without-gossip")
    workers = {
        name: ("celery", "worker", "-H", name, "--pid", str(folder / f"{name}.pid"), *options)
        for name in WORKERS
    }
    return {**single, **triggerers, **workers}
