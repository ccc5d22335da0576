# SPDX-License-Identifier: Apache-2.0
"""
Generate pictures from a list of prompts, wait for all of them, and keep them with a contact sheet.

It submits, so with your own key it is billed. The contact sheet takes the extra ``pictures``. Start it with
``{"prompts": ["a red fox in the snow"], "destination": "s3://my-bucket/pictures"}``.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import Param, dag, get_current_context, task

from airflow_provider_dreambooth.operators.dreambooth import (
    DreamboothSaveImagesOperator,
    DreamboothTextToImageOperator,
)
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor


@dag(
    schedule=None,
    params={
        "prompts": Param(["a red fox in the snow", "a heron at dawn"], type="array", title="Prompts"),
        "model_id": Param("midjourney", type="string", title="Model"),
        "destination": Param("file:///tmp/dreambooth/pictures", type="string", title="Bucket or folder"),
    },
    tags=["example", "dreambooth"],
    doc_md=__doc__,
)
def example_dreambooth_generate() -> None:
    """Prompts in, pictures in a bucket out."""

    # [START howto_operator_generate]
    @task
    def prompts() -> list[str]:
        return list(get_current_context()["params"]["prompts"])

    requests = DreamboothTextToImageOperator.partial(
        task_id="generate",
        model_id="{{ params.model_id }}",
        width=512,
        height=512,
        deferrable=True,  # while the service's queue is full, no worker slot is held
        queue_timeout=2 * 60 * 60,
        map_index_template="{{ task.prompt }}",  # the grid shows the prompt instead of a number
    ).expand(prompt=prompts())

    pictures = DreamboothFetchSensor(
        task_id="wait_for_pictures",
        request_id=requests.output,  # eta and meta of each submit come along
        deferrable=True,
        timeout=60 * 60,
    )
    DreamboothSaveImagesOperator(
        task_id="save_pictures",
        results=pictures.output,
        destination="{{ params.destination }}",
        contact_sheet=True,
        include_prompt=True,
    )
    # [END howto_operator_generate]


example_dreambooth_generate()
