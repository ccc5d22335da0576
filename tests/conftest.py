# SPDX-License-Identifier: Apache-2.0
"""One temporary Airflow home for the whole session, and the sandbox's fixture."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest

from tests.airflow_versions import AIRFLOW

ROOT = Path(__file__).parents[1]
HOME = Path(tempfile.mkdtemp(prefix="airflow-provider-dreambooth-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

# Before anybody imports airflow, which reads this at its import; nothing of the developer's own gets in.
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME / 'airflow.db'}",
    "AIRFLOW__API_AUTH__JWT_SECRET": "for-tests-only-" * 5,
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}

pytest_plugins = ["airflow_provider_dreambooth.sandbox.pytest_plugin"]


@pytest.fixture(scope="session")
def airflow_db() -> Path:
    """A migrated database, for tests that run DAGs; the others need none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the migrations' own
        from airflow.utils.db import initdb

        initdb()
    return HOME / "airflow.db"


@pytest.fixture
def task_log(capsys, caplog) -> Iterator[Callable[[], str]]:
    """What tasks and triggers have logged: Airflow 3 prints it here, 2.11 hands it to :mod:`logging`."""
    if AIRFLOW >= (3, 0):
        yield lambda: capsys.readouterr().out
        return
    written = StringIO()
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("airflow.task")
    with caplog.at_level("INFO", logger.name):
        logger.addHandler(handler)
        yield written.getvalue
        logger.removeHandler(handler)


@pytest.fixture(scope="session")
def airflow_command() -> Callable[..., str]:
    """Run ``airflow ARGUMENTS`` in a process of its own and return what it printed."""

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
