# SPDX-License-Identifier: Apache-2.0
"""A whole Airflow 3 on this machine: its own home, its own ports, each component a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import requests

from scripts.airflow_api import AirflowApi
from scripts.local_server import LocalServer, free_port
from scripts.processes import Processes

USERNAME, PASSWORD = "admin", "admin"  # on localhost, for as long as it runs
# Names, and what Airflow calls them. In this order: the API server takes longest to start.
COMPONENTS = {name: (name,) for name in ("api-server", "scheduler", "dag-processor", "triggerer")}
COMPONENT = "LOCAL_AIRFLOW_COMPONENT"
"""The variable in which each component finds its name."""
# Airflow builds so many objects while it starts that a third of the time goes to the garbage collector.
LAUNCHER = (
    "import gc, sys; gc.set_threshold(100_000, 50, 50); from airflow.__main__ import main; sys.exit(main())"
)


class LocalAirflow(LocalServer):
    """
    Run Airflow; a context manager that starts it, waits until it is healthy, and ends it.

    :param home: its ``AIRFLOW_HOME``; configuration, logs and database are made there.
    :param dags: the folder of DAGs.
    :param env: further environment of all components, connections for instance.
    :param database_url: of its metadata database, for SQLAlchemy; None makes one of SQLite in its home.
    :param database_cache: folder where a freshly migrated SQLite is kept for the next start.
    :param components: what it consists of: names, and Airflow's command for each.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        env: Mapping[str, str] | None = None,
        database_url: str | None = None,
        database_cache: Path | None = None,
        components: Mapping[str, Sequence[str]] = COMPONENTS,
    ) -> None:
        self.home = home.resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.processes = Processes(self.home / "processes")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.database_url = database_url or sqlite_url(self._sqlite)
        self.env = {**outer_environment(), **self._settings(dags.resolve()), **(env or {})}
        self.api = AirflowApi(self.url, USERNAME, PASSWORD, self.check)
        self._database_cache = database_cache
        self._database_made = False
        self._components = components
        self._started: dict[str, datetime] = {}

    def start(self, *components: str) -> None:
        """Start these components, or all of them, without waiting until they are healthy."""
        for name in components or self._components:
            self._started[name] = datetime.now(UTC)
            command = [sys.executable, "-c", LAUNCHER, *self._components[name]]
            self.processes.start(name, command, {**self.env, COMPONENT: name})
            if name == "api-server" and not self._database_made:
                self._make_database()  # while the API server imports; the others need it at once
                self._database_made = True

    def check(self) -> None:
        """:raises ProcessDied: if a component has ended by itself."""
        self.processes.check()

    def kill(self, component: str) -> None:
        """End a component as a power cut would."""
        del self._started[component]
        self.processes.kill(component)

    def expect_news(self, *components: str) -> None:
        """What these components, or all, have reported so far counts no more for :meth:`missing`."""
        self._started |= dict.fromkeys(components or self._started, datetime.now(UTC))

    def wait_until_healthy(self, seconds: float = 120) -> None:
        """
        Wait until every component that was started has reported since.

        :raises ProcessDied: if one of them ends.
        :raises TimeoutError: naming those which have not reported.
        """
        deadline = time.monotonic() + seconds
        self._wake_execution_api(deadline)
        while missing := self.missing():
            self.check()
            if time.monotonic() > deadline:
                logs = ", ".join(str(self.processes.log(name)) for name in missing)
                raise TimeoutError(
                    f"no sign of life from {', '.join(missing)} in {seconds:.0f} s; see {logs}"
                )
            time.sleep(0.3)

    def task_log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Everything that the tries of a task have logged so far, on the worker and in the triggerer."""
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        return "".join(path.read_text() for path in sorted(folder.rglob("*.log*")) if path.is_file())

    def stop(self) -> None:
        """End everything that was started."""
        try:
            self.api.close()
        finally:
            super().stop()

    def begin(self) -> None:
        """Start all components and wait until they are healthy."""
        self.start()
        self.wait_until_healthy()

    def _settings(self, dags: Path) -> dict[str, str]:
        passwords = self.home / "passwords.json"
        passwords.write_text(json.dumps({USERNAME: PASSWORD}))
        settings = {
            "CORE__DAGS_FOLDER": dags,
            "CORE__LOAD_EXAMPLES": False,
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": 4,  # SQLite locks up with many writers
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": True,  # AirflowApi.trigger() wakes the one it starts
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # asks no name server
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USERNAME}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords,
            "DATABASE__SQL_ALCHEMY_CONN": self.database_url,
            "DATABASE__LOAD_DEFAULT_CONNECTIONS": False,
            "DATABASE__CHECK_MIGRATIONS": False,  # the API server may start before they are done
            "API__HOST": "127.0.0.1",
            "API__PORT": self.url.rpartition(":")[2],
            "API__BASE_URL": self.url,
            "API__WORKERS": 1,
            "API__SECRET_KEY": secrets.token_hex(32),
            "API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "LOGGING__WORKER_LOG_SERVER_PORT": free_port(),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": free_port(),
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.3,
            "SCHEDULER__JOB_HEARTBEAT_SEC": 2,
            "TRIGGERER__JOB_HEARTBEAT_SEC": 2,
            "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        }
        return {
            "AIRFLOW_HOME": str(self.home),
            **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
        }

    @property
    def _sqlite(self) -> Path:
        return self.home / "airflow.db"

    def _make_database(self) -> None:
        if not self.database_url.startswith("sqlite"):
            self._migrate()
        elif not self._sqlite.exists():
            self._make_sqlite()

    def _make_sqlite(self) -> None:
        if self._database_cache is None:
            self._migrate()
            return
        cached = self._database_cache / f"airflow-{metadata.version('apache-airflow')}.db"
        if cached.exists():
            shutil.copy(cached, self._sqlite)
            return
        self._migrate()
        cached.parent.mkdir(parents=True, exist_ok=True)
        _copy_database(self._sqlite, cached)

    def _migrate(self) -> None:
        log = self.processes.log("db-migrate")
        with log.open("wb") as output:
            command = [sys.executable, "-c", LAUNCHER, "db", "migrate"]
            done = subprocess.run(command, env=self.env, stdout=output, stderr=output, check=False)
        if done.returncode:
            raise RuntimeError(f"cannot make the database; see {log}")

    def _wake_execution_api(self, deadline: float) -> None:
        """Ask it once: it builds itself at its first request, longer than a task waits for the answer."""
        while time.monotonic() < deadline:
            self.check()
            try:
                with requests.Session() as session:
                    session.trust_env = False
                    session.get(f"{self.url}/execution/health", timeout=60).raise_for_status()
            except (requests.ConnectionError, requests.HTTPError):
                time.sleep(0.3)
            else:
                return

    def missing(self) -> list[str]:
        """The components that have not reported, or not well, since they were started."""
        health = self.api.health()
        missing = []
        for name, started in self._started.items():
            key = "metadatabase" if name == "api-server" else name.replace("-", "_")
            report = health.get(key, {})
            beat = report.get(f"latest_{key}_heartbeat")
            # An older heartbeat is that of a predecessor.
            heard = name == "api-server" or (beat is not None and datetime.fromisoformat(beat) > started)
            if report.get("status") != "healthy" or not heard:
                missing.append(name)
        return missing


def sqlite_url(path: Path) -> str:
    """Name a database in a file; who finds it locked waits a minute, as a busy machine may need."""
    return f"sqlite:///{path}?timeout=60"


def outer_environment() -> dict[str, str]:
    """This process's environment without any Airflow's settings, and with no proxy towards this machine."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name), "127.0.0.1", "localhost"]))
    return env


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database that others may have open: a copy of the file alone would lack what is in its log."""
    unfinished = target.with_suffix(".part")
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(unfinished)) as writer:
        reader.backup(writer)
    unfinished.replace(target)
