# SPDX-License-Identifier: Apache-2.0
"""A DAG for the tests: mapped tasks that save into one folder at the same time."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import Param, dag, get_current_context, task

from airflow_provider_dreambooth.operators.dreambooth import DreamboothSaveImagesOperator


@dag(schedule=None, params={"ids": Param([], type="array"), "folder": Param("", type="string")})
def save_mapped() -> None:
    @task
    def ids() -> list[str]:
        return list(get_current_context()["params"]["ids"])

    DreamboothSaveImagesOperator.partial(
        task_id="save", destination="{{ params.folder }}", contact_sheet=True, poke_interval=0.2
    ).expand(request_id=ids())


save_mapped()
