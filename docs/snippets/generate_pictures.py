# SPDX-License-Identifier: Apache-2.0
"""The DAG of the README."""

from __future__ import annotations

# [START generate_pictures]
from airflow.providers.common.compat.sdk import dag

from airflow_provider_dreambooth.operators.dreambooth import (
    DreamboothSaveImagesOperator,
    DreamboothTextToImageOperator,
)


@dag(schedule=None, params={"prompt": "a red fox in the snow", "folder": "s3://my-bucket/pictures"})
def generate_pictures():
    fox = DreamboothTextToImageOperator(
        task_id="generate",
        model_id="midjourney",
        prompt="{{ params.prompt }}",
        wait_for_completion=True,
        deferrable=True,  # wait in the triggerer: no worker slot is held
        timeout=60 * 60,
    )
    DreamboothSaveImagesOperator(task_id="keep", results=fox.output, destination="{{ params.folder }}")


generate_pictures()
# [END generate_pictures]
