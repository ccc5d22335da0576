# SPDX-License-Identifier: Apache-2.0
"""The DAGs that are tested: one waits, one generates."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dreambooth.operators.dreambooth import DreamboothTextToImageOperator
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor

with DAG("waiting", schedule=None, params={"request_id": ""}) as my_dag:
    DreamboothFetchSensor(
        task_id="wait",
        request_id="{{ params.request_id }}",
        deferrable=True,
        poke_interval=0.5,
        timeout=60,
    )

with DAG("generating", schedule=None) as my_generating_dag:
    DreamboothTextToImageOperator(task_id="generate", model_id="midjourney", prompt="a red fox", width=512)
