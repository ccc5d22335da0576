# SPDX-License-Identifier: Apache-2.0
"""A DAG of the tests with real processes: its worker loses power at a moment that the test chooses."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_dreambooth.operators.dreambooth import DreamboothTextToImageOperator


class Dying:
    """
    The task state store of a task that is killed beside it.

    :param moment: "before" or "after" and the state in whose writing it dies.
    """

    def __init__(self, store, moment):
        self._store = store
        self._moment = moment

    def get(self, key):
        return self._store.get(key)

    def delete(self, key):
        self._store.delete(key)

    def set(self, key, value):
        self._die(f"before {value['state']}")
        self._store.set(key, value)
        self._die(f"after {value['state']}")

    def _die(self, moment):
        if moment == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)


def before(context):
    params, ti = context["params"], context["ti"]
    Path(params["pid_file"]).write_text(str(os.getpid()))
    if ti.try_number == 1:
        context["task_state_store"] = Dying(context["task_state_store"], params["moment"])


for name, deferrable in {"on_the_worker": False, "in_the_triggerer": True}.items():
    with DAG(
        name,
        schedule=None,
        params={"prompt": Param(""), "moment": Param(""), "pid_file": Param("")},
        default_args={"retries": 1, "retry_delay": timedelta(seconds=1)},
    ):
        DreamboothTextToImageOperator(
            task_id="generate",
            model_id="midjourney",
            prompt="{{ params.prompt }}",
            force_new="{{ var.value.get('force_new', '') }}",
            wait_for_completion=True,
            deferrable=deferrable,
            poke_interval=1,
            timeout=300,
            pre_execute=before,
        )
