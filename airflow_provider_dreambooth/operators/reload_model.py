# SPDX-License-Identifier: Apache-2.0
"""Have a model loaded that the service has unloaded."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator, Context, conf

from airflow_provider_dreambooth.api import parameters
from airflow_provider_dreambooth.api.submitting import RELOAD_SECONDS
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.waiting import check_at_least


class DreamboothReloadModelOperator(BaseOperator):
    """
    Have a model loaded that the service has unloaded, which it does after 7 days without use.

    The service says at once that it begins, and not when it is done: "it takes 2 minutes" is all that it
    documents. Nothing is billed as far as is known, and to ask again does no harm. XCom ``return_value`` is
    what the service says.

    :param model_id: the model. (templated)
    :param dreambooth_conn_id: the connection of type ``dreambooth``. (templated)
    :param wait_for_completion: return when ``reload_seconds`` have passed, not at once.
    :param reload_seconds: how long loading is taken to last.
    :param deferrable: let that time pass in the triggerer, without a worker slot.
    :raises DreamboothRequestRefused: if the service does not know the model.
    """

    template_fields: Sequence[str] = ("model_id", "dreambooth_conn_id")
    ui_color = "#e8dcf7"

    def __init__(
        self,
        *,
        model_id: str,
        dreambooth_conn_id: str = DreamboothHook.default_conn_name,
        wait_for_completion: bool = True,
        reload_seconds: float = RELOAD_SECONDS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_at_least(reload_seconds=(reload_seconds, 0))
        self.model_id = model_id
        self.dreambooth_conn_id = dreambooth_conn_id
        self.wait_for_completion = parameters.switch("wait_for_completion", wait_for_completion)
        self.reload_seconds = reload_seconds
        self.deferrable = parameters.switch("deferrable", deferrable)

    def execute(self, context: Context) -> str:
        """Ask for it; then let time pass in the chosen way."""
        with DreamboothHook(self.dreambooth_conn_id) as hook:
            said = hook.reload_model(self.model_id)
        self.log.info("Model %s is being loaded: %s", self.model_id, said)
        if self.wait_for_completion:
            if self.deferrable:
                from airflow_provider_dreambooth.triggers.pause import DreamboothPauseTrigger

                until = time.time() + self.reload_seconds
                trigger = DreamboothPauseTrigger(until=until, state={"said": said})
                self.defer(trigger=trigger, method_name="execute_complete")
            time.sleep(self.reload_seconds)
        return said

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> str:
        """Return what the service said before the time passed."""
        return str(((event or {}).get("state") or {}).get("said", ""))
