# SPDX-License-Identifier: Apache-2.0
"""What the cluster does while it is mistreated: it waits, saves, generates; and small DAGs for one fault."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, Param, task

from airflow_provider_dreambooth.operators.dreambooth import (
    DreamboothSaveImagesOperator,
    DreamboothTextToImageOperator,
)
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor

RETRIES = {"retries": 6, "retry_delay": timedelta(seconds=1)}
PATIENT: dict[str, Any] = {"deferrable": True, "poke_interval": 10, "timeout": 3600}
BUCKET: dict[str, Any] = {
    "destination": "{{ params.destination }}",
    "storage_conn_id": "bucket",
    "max_parallel": 8,
}
LIST = Param([], type="array")
TEXT = Param("")


@task
def given(params: dict[str, Any] | None = None) -> list[Any]:
    """What the run was given, to be waited for or to be mapped over."""
    return list((params or {})["given"])


def dag(dag_id: str, **params: Any) -> DAG:
    """Make one without tasks."""
    return DAG(dag_id, schedule=None, params=params, default_args=RETRIES, max_active_tasks=64)


with dag("listed", given=LIST, destination=TEXT):
    wait = DreamboothFetchSensor(task_id="wait", request_id=given(), **PATIENT)
    DreamboothSaveImagesOperator(
        task_id="save", results=wait.output, outlets=[Asset("s3://pictures/listed")], **BUCKET
    )

with dag("mapped", given=LIST, destination=TEXT):
    DreamboothSaveImagesOperator.partial(
        task_id="save", destination="{{ params.destination }}", **PATIENT
    ).expand(request_id=given())

with dag("ended", given=LIST):
    DreamboothFetchSensor.partial(task_id="wait", end_from_trigger=True, **PATIENT).expand(request_id=given())

with dag("generated", given=LIST, destination=TEXT):
    made = DreamboothTextToImageOperator.partial(
        task_id="generate",
        model_id="midjourney",
        width=256,
        height=256,
        wait_for_completion=True,
        **{**PATIENT, "poke_interval": 2},
    ).expand(prompt=given())
    DreamboothSaveImagesOperator(task_id="save", request_id=made.output, **BUCKET)

for name, limit in {"patient": None, "hasty": timedelta(seconds=10)}.items():
    with dag(name, request_id=TEXT):
        DreamboothFetchSensor(
            task_id="wait",
            request_id="{{ params.request_id }}",
            execution_timeout=limit,
            **{**PATIENT, "poke_interval": 1},
        )

for name, deferrable in {"on_the_worker": False, "in_the_triggerer": True}.items():
    with dag(name, prompt=TEXT):
        DreamboothTextToImageOperator(
            task_id="generate",
            model_id="midjourney",
            prompt="{{ params.prompt }}",
            width=256,
            height=256,
            wait_for_completion=True,
            deferrable=deferrable,
            poke_interval=1,
            timeout=600,
        )
