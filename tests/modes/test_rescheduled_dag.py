# SPDX-License-Identifier: Apache-2.0
"""A rescheduled sensor in Airflow's own hands, which say when its first look was."""

from __future__ import annotations

from tests.airflow_versions import run_dag, store_dags

DAG_FILE = """
from airflow.providers.common.compat.sdk import DAG, Param
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor

with DAG("rescheduled", schedule=None, params={"request_id": Param("")}):
    DreamboothFetchSensor(
        task_id="wait", request_id="{{ params.request_id }}", mode="reschedule", poke_interval=0.5, timeout=2
    )
"""


def test_the_deadline_counts_from_the_first_look(airflow_db, dreambooth_sandbox, tmp_path):
    """A look that took itself for the first would wait two seconds more, and so would the next, for ever."""
    (tmp_path / "rescheduled.py").write_text(DAG_FILE)
    request_id = dreambooth_sandbox.add(prompt="never", ready_in=3600)

    dag_run = run_dag(store_dags(tmp_path)["rescheduled"], {"request_id": request_id})

    assert dag_run.state == "failed"
    assert dreambooth_sandbox.fetches(request_id) > 1
