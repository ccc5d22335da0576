# SPDX-License-Identifier: Apache-2.0
"""
Generate pictures from a list of prompts, each with parameters of its own, and make a page that shows them.

Start it with ``{"pictures": [{"prompt": "a red fox in the snow"}, {"prompt": "two owls", "width": 768}]}``;
each entry takes any parameter of the operator. A submit is billed. On Airflow 3.3 a retry or a clear of the
task is not: it goes on with the request that is there.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Param, dag, get_current_context, task

from airflow_provider_dreambooth.operators.dreambooth import (
    DreamboothSaveImagesOperator,
    DreamboothTextToImageOperator,
)
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor


@dag(
    schedule=None,
    params={
        "pictures": Param([{"prompt": "a red fox in the snow"}], type="array", title="What to draw"),
        "model_id": Param("midjourney", type="string", title="Model"),
        "destination": Param("file:///tmp/dreambooth/pictures", type="string", title="Bucket or folder"),
    },
    tags=["example", "dreambooth"],
    doc_md=__doc__,
)
def example_dreambooth_gallery() -> None:
    """Prompts in, pictures in a bucket out."""

    @task
    def pictures_to_draw() -> list[dict[str, Any]]:
        return list(get_current_context()["params"]["pictures"])

    # [START howto_operator_expand_kwargs]
    submitted = DreamboothTextToImageOperator.partial(
        task_id="submit",
        model_id="{{ params.model_id }}",
        deferrable=True,  # a full queue is waited out in the triggerer, without a worker slot
        queue_timeout=60 * 60,
        map_index_template="{{ task.prompt }}",  # the grid shows the prompt instead of a number
    ).expand_kwargs(pictures_to_draw())
    pictures = DreamboothFetchSensor(
        task_id="wait_for_pictures",
        request_id=submitted.output,  # with the eta, by which the first look is timed
        deferrable=True,
        poke_interval=2,
        timeout=30 * 60,
    )
    DreamboothSaveImagesOperator(
        task_id="save_pictures",
        results=pictures.output,
        destination="{{ params.destination }}/{{ dag_run.run_id | replace(':', '-') | replace('+', '-') }}",
        contact_sheet=True,  # takes the extra `pictures`
        include_prompt=True,
    )
    # [END howto_operator_expand_kwargs]


example_dreambooth_gallery()
