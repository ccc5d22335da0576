# SPDX-License-Identifier: Apache-2.0
"""DAGs of the tests with real processes: one waits long, one is soon out of time, one waits in each mode."""

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

with DAG("each_mode", schedule=None, params={"ids": Param({}, type="object")}):
    for mode in ("poke", "reschedule", "deferrable"):
        DreamboothFetchSensor(
            task_id=mode,
            request_id=f"{{{{ params.ids['{mode}'] }}}}",
            mode="reschedule" if mode == "reschedule" else "poke",
            deferrable=mode == "deferrable",
            poke_interval=1,
            timeout=120,
        )
