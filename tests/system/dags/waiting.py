# SPDX-License-Identifier: Apache-2.0
"""DAGs for tests that kill Airflow's processes: one waits long enough, the other is soon out of time."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor

for name, seconds in {"patient": 600, "hurried": 16}.items():
    with DAG(
        name,
        schedule=None,
        params={"request_id": Param(""), "conn_id": Param("dreambooth_default")},
        default_args={"retries": 1, "retry_delay": timedelta(seconds=1)},
    ):
        DreamboothFetchSensor(
            task_id="wait",
            request_id="{{ params.request_id }}",
            dreambooth_conn_id="{{ params.conn_id }}",
            deferrable=True,
            poke_interval=1,
            timeout=seconds,
        )
