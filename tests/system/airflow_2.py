# SPDX-License-Identifier: Apache-2.0
"""A whole Airflow 2.11 on this machine; it tells by its database what Airflow 3 tells by another REST API."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from scripts.local_airflow import outer_environment, sqlite_url
from scripts.local_server import LocalServer
from scripts.processes import Processes
from tests.system.until import until

COMMAND = (sys.executable, "-W", "ignore", "-m", "airflow")


class Airflow2(LocalServer):
    """
    Run its scheduler and its triggerer; a context manager that ends them.

    :param home: its ``AIRFLOW_HOME``.
    :param dags: the folder of DAGs.
    :param env: further environment of both, connections for instance.
    """

    def __init__(self, home: Path, dags: Path, env: Mapping[str, str]) -> None:
        self.home = home
        self.processes = Processes(home / "processes")
        settings = {
            "CORE__DAGS_FOLDER": dags,
            "CORE__LOAD_EXAMPLES": False,
            "CORE__EXECUTOR": "SequentialExecutor",  # the only one that it allows on SQLite
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
            "CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # asks no name server
            "DATABASE__SQL_ALCHEMY_CONN": sqlite_url(home / "airflow.db"),
            "DATABASE__LOAD_DEFAULT_CONNECTIONS": False,
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.3,
            "TRIGGERER__JOB_HEARTBEAT_SEC": 2,
            # A restarted triggerer takes over what its predecessor held when that is taken for dead.
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 6,
        }
        outer = outer_environment()
        self.env = {
            **outer,
            # Its executor starts each task by the command `airflow`.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{outer['PATH']}",
            "AIRFLOW_HOME": str(home),
            **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
            **env,
        }

    def begin(self) -> None:
        """Make its database, let it know the DAGs, and start both."""
        self._command("db", "migrate")
        self._command("dags", "reserialize")
        self.start("scheduler")
        self.start("triggerer")

    def start(self, component: str) -> None:
        """Start one of them."""
        self.processes.start(component, [*COMMAND, component, "--skip-serve-logs"], self.env)

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Start a run, and return its id."""
        run_id = f"{dag_id}-{secrets.token_hex(4)}"
        self._command("dags", "trigger", dag_id, "--run-id", run_id, "--conf", json.dumps(conf))
        return run_id

    def wait_for_run(self, run_id: str) -> str:
        """Wait until a run has ended, and return its state."""
        return self._wait("select state from dag_run where run_id = ?", (run_id,), ("success", "failed"))

    def wait_for_task(self, run_id: str, task_id: str, state: str) -> None:
        """Wait until a task is in a state."""
        asked = "select state from task_instance where run_id = ? and task_id = ?"
        self._wait(asked, (run_id, task_id), (state,))

    def _wait(self, asked: str, of: tuple[str, ...], states: tuple[str, ...]) -> str:
        with closing(sqlite3.connect(self.home / "airflow.db", timeout=60)) as database:

            def state() -> Any:
                self.processes.check()
                return database.execute(asked, of).fetchone()[0]

            until(lambda: state() in states, seconds=120)
            return str(state())

    def _command(self, *words: str) -> None:
        done = subprocess.run(
            [*COMMAND, *words],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
