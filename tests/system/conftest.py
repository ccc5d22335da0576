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

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "example_dags"


@dataclass(frozen=True)
class System:
    """A running Airflow, the service it asks, and the two keys that must not be found anywhere."""

    airflow: LocalAirflow
    sandbox: Sandbox
    key: str
    refused_key: str


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    shutil.copytree(HERE / "dags", folder / "dags")
    shutil.copytree(EXAMPLES, folder / "dags", dirs_exist_ok=True)
    key, refused_key = (f"canary{secrets.token_hex(12)}" for _ in range(2))
    with Sandbox(key) as sandbox:
        refused = {**json.loads(sandbox.connection_json), "password": refused_key}
        env = {
            "AIRFLOW_CONN_DREAMBOOTH_DEFAULT": sandbox.connection_json,
            "AIRFLOW_CONN_DREAMBOOTH_REFUSED": json.dumps(refused),
            # A restarted triggerer takes over what its predecessor held when that is taken for dead.
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
        }
        with LocalAirflow(folder / "airflow", folder / "dags", env=env) as airflow:
            yield System(airflow, sandbox, key, refused_key)
