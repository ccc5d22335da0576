# SPDX-License-Identifier: Apache-2.0
"""
Wait for each request in a mapped task of its own, and go on with those that came.

One task an id shows each of them in the grid, with its own tries and log. For hundreds of ids one task with a
list is far cheaper: see ``example_dreambooth_daily_batch``.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Param, dag, get_current_context, task

from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor


@dag(
    schedule=None,
    params={"request_ids": Param([], type="array", title="Request ids")},
    tags=["example", "dreambooth"],
    doc_md=__doc__,
)
def example_dreambooth_mapped() -> None:
    """Ids in, one task instance each, links out."""

    @task
    def ids_to_wait_for() -> list[str]:
        return [str(each) for each in get_current_context()["params"]["request_ids"]]

    # [START howto_sensor_mapped]
    pictures = DreamboothFetchSensor.partial(
        task_id="wait_for_pictures",
        deferrable=True,
        timeout=30 * 60,
        map_index_template="{{ task.request_id }}",  # the grid shows the id instead of a number
    ).expand(request_id=ids_to_wait_for())

    @task(trigger_rule="all_done")
    def collect(results: Any) -> list[str]:
        return [link for result in results for link in result["output"]]

    collect(pictures.output)
    # [END howto_sensor_mapped]


example_dreambooth_mapped()
