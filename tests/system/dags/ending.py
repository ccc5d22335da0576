# SPDX-License-Identifier: Apache-2.0
"""Waits that may end in the triggerer: a task for each request, and one that a worker has to end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, Param, task

from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor

with DAG(
    "ending",
    schedule=None,
    params={"ids": Param([], type="array"), "with_outlets": Param("")},
    default_args={"retries": 1, "retry_delay": timedelta(seconds=1)},
):

    @task
    def ids(params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        assert params
        return [{"request_id": request_id, "meta": {"prompt": request_id}} for request_id in params["ids"]]

    @task
    def collect(results: Any) -> list[Any]:
        return list(results)

    waits = DreamboothFetchSensor.partial(
        task_id="wait",
        deferrable=True,
        end_from_trigger=True,
        poke_interval=1,
        timeout=120,
        map_index_template="{{ task.request_id['request_id'] }}",
    ).expand(request_id=ids())
    collect(waits.output)

    DreamboothFetchSensor(
        task_id="with_outlets",
        request_id="{{ params.with_outlets }}",
        deferrable=True,
        end_from_trigger=True,
        poke_interval=1,
        timeout=120,
        outlets=[Asset("dreambooth://pictures")],
    )
