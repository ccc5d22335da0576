# SPDX-License-Identifier: Apache-2.0
"""
Each day, wait for all requests that somebody submitted that day, in one task and one trigger.

The ids lie in a file for each day, one a line: ``<folder>/2026-11-22.txt``, on this machine or in a bucket.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import AirflowSkipException, ObjectStoragePath, Param, dag, task

from airflow_provider_dreambooth.operators.dreambooth import DreamboothSaveImagesOperator
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor


@dag(
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={
        "folder": Param("file:///tmp/dreambooth/requests", type="string", title="Folder of the id files")
    },
    tags=["example", "dreambooth"],
    doc_md=__doc__,
)
def example_dreambooth_daily_batch() -> None:
    """A file of ids in, links out."""
    # [START howto_sensor_batch]

    @task
    def read_ids(path: str) -> list[str]:
        if ids := ObjectStoragePath(path).read_text().split():
            return ids
        raise AirflowSkipException("nobody submitted anything that day")

    pictures = DreamboothFetchSensor(
        task_id="wait_for_pictures",
        request_id=read_ids("{{ params.folder }}/{{ ds }}.txt"),  # a list: one trigger waits for all of them
        deferrable=True,
        timeout=6 * 60 * 60,
    )
    # [END howto_sensor_batch]

    # [START howto_operator_links]
    DreamboothSaveImagesOperator(
        task_id="collect_links",
        results=pictures.output,  # no destination: the XCom is a flat list of links
    )
    # [END howto_operator_links]


example_dreambooth_daily_batch()
