# SPDX-License-Identifier: Apache-2.0
"""The hook, in a task of one's own."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Param, dag, get_current_context, task

# [START hook]
from airflow_provider_dreambooth.exceptions import DreamboothPermanentError
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook


@task
def wait_here(request_id: str) -> list[str]:
    with DreamboothHook("dreambooth_default") as hook:
        try:
            return hook.wait(request_id, timeout=600)["output"]
        except DreamboothPermanentError as error:
            print([(failure.request_id, failure.kind, failure.message) for failure in error.failures])
            raise


# [END hook]


@dag(schedule=None, params={"request_id": Param("", type=["string", "integer"])})
def ask_in_python() -> None:
    """One id in, links out."""

    @task
    def the_id() -> Any:
        return get_current_context()["params"]["request_id"]

    wait_here(the_id())


ask_in_python()
