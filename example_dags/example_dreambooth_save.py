# SPDX-License-Identifier: Apache-2.0
"""
Wait for queued requests and keep their pictures in a bucket, with a manifest.

Start it with ``{"request_ids": ["13443927"], "destination": "s3://my-bucket/pictures"}``; a folder of this
machine is ``file:///tmp/pictures``.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import Param, dag

from airflow_provider_dreambooth.operators.dreambooth import DreamboothSaveImagesOperator
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor


@dag(
    schedule=None,
    params={
        "request_ids": Param([], type="array", title="Request ids"),
        "destination": Param("file:///tmp/dreambooth/pictures", type="string", title="Bucket or folder"),
    },
    render_template_as_native_obj=True,  # the list of ids stays a list
    tags=["example", "dreambooth"],
    doc_md=__doc__,
)
def example_dreambooth_save() -> None:
    """Ids in, pictures in a bucket out."""
    # [START howto_operator_save]
    pictures = DreamboothFetchSensor(
        task_id="wait_for_pictures",
        request_id="{{ params.request_ids }}",
        deferrable=True,
        poke_interval=2,
        timeout=30 * 60,
    )
    DreamboothSaveImagesOperator(
        task_id="save_pictures",
        results=pictures.output,
        destination="{{ params.destination }}/{{ dag_run.run_id | replace(':', '-') | replace('+', '-') }}",
        contact_sheet=True,  # takes the extra `pictures`
        include_prompt=True,  # known where the ids come from a task that submits
    )
    # [END howto_operator_save]


example_dreambooth_save()
