# SPDX-License-Identifier: Apache-2.0
"""Wait for one queued request and use its links. Start it with ``{"request_id": "13443927"}``."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor


@dag(
    schedule=None,
    params={"request_id": Param("", type=["string", "integer"], title="Request id")},
    tags=["example", "dreambooth"],
    doc_md=__doc__,
)
def example_dreambooth_one() -> None:
    """One id in, links out."""
    # [START howto_sensor_one]
    pictures = DreamboothFetchSensor(
        task_id="wait_for_pictures",
        request_id="{{ params.request_id }}",
        deferrable=True,  # wait in the triggerer: no worker slot is held
        timeout=30 * 60,
    )

    @task
    def use_links(result: Any) -> int:
        for link in result["output"]:
            print(link)  # noqa: T201 - in a task it is the task's log
        return len(result["output"])

    use_links(pictures.output)
    # [END howto_sensor_one]


example_dreambooth_one()
