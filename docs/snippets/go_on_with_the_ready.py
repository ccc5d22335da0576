# SPDX-License-Identifier: Apache-2.0
"""Go on with the pictures that came, when a request of the list has failed."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import Param, dag, get_current_context, task

from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor


@dag(schedule=None, params={"request_ids": Param([], type="array")})
def go_on_with_the_ready() -> None:
    """Ids in, links of those that came out."""
    # [START ready_and_failed]
    wait = DreamboothFetchSensor(
        task_id="wait_for_pictures",
        request_id="{{ params.request_ids }}",
        deferrable=True,
        timeout=60 * 60,
    )

    @task(trigger_rule="all_done")
    def links_that_came() -> list[str]:
        pull = get_current_context()["ti"].xcom_pull
        results = pull(task_ids="wait_for_pictures") or pull(task_ids="wait_for_pictures", key="ready")
        return [link for result in results or [] for link in result["output"]]

    wait >> links_that_came()
    # [END ready_and_failed]


go_on_with_the_ready()
