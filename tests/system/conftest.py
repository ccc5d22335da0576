# SPDX-License-Identifier: Apache-2.0
"""One real Airflow and one sandbox for all tests of this folder: they take longest to start."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_dreambooth.sandbox import Sandbox
from scripts.local_airflow import LocalAirflow
from tests.airflow_versions import AIRFLOW
from tests.system.until import until

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "example_dags"


@dataclass(frozen=True)
class System:
    """A running Airflow, the service it asks, and the two keys that must not be found anywhere."""

    airflow: LocalAirflow
    sandbox: Sandbox
    key: str
    refused_key: str

    def wait_until_deferred(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> None:
        """
        Wait until a task in its first try is deferred, and the scheduler has taken note.

        On a busy machine Airflow 3 hears late that the first part of a task has ended. If the task is due
        again by then, it takes that end for one of the second part, too early, and fails the task.
        """
        task = task_id if map_index < 0 else f"{task_id}[{map_index}]"
        self.airflow.api.wait_for_task(dag_id, run_id, task, "deferred")
        key = (
            f"dag_id={dag_id!r}, task_id={task_id!r}, run_id={run_id!r}, try_number=1, map_index={map_index}"
        )
        told = f"Received executor event with state success for task instance TaskInstanceKey({key})"
        log = self.airflow.processes.log("scheduler")
        until(lambda: told in log.read_text())


def connections(sandbox: Sandbox, refused_key: str) -> dict[str, str]:
    """The environment of two connections: one that the service takes, one whose key it refuses."""
    refused = {**json.loads(sandbox.connection_json), "password": refused_key}
    return {
        "AIRFLOW_CONN_DREAMBOOTH_DEFAULT": sandbox.connection_json,
        "AIRFLOW_CONN_DREAMBOOTH_REFUSED": json.dumps(refused),
    }


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    if AIRFLOW < (3, 0):
        pytest.skip("Airflow 2.11 is other processes with another API: test_airflow_2.py looks at it")
    folder = tmp_path_factory.mktemp("system")
    shutil.copytree(HERE / "dags", folder / "dags")
    shutil.copytree(EXAMPLES, folder / "dags", dirs_exist_ok=True)
    key, refused_key = (f"canary{secrets.token_hex(12)}" for _ in range(2))
    with Sandbox(key) as sandbox:
        env = {
            **connections(sandbox, refused_key),
            # A restarted triggerer takes over what its predecessor held when that is taken for dead.
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
        }
        with LocalAirflow(folder / "airflow", folder / "dags", env=env) as airflow:
            yield System(airflow, sandbox, key, refused_key)
