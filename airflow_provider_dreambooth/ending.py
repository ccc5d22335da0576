# SPDX-License-Identifier: Apache-2.0
"""Ending a task in the triggerer, without starting it on a worker a second time.

Airflow's ``TaskSuccessEvent(xcoms=…)`` is not used: from Airflow 3.0 on it stores each value as JSON text,
past the XCom backend. The XCom is sent as a worker sends it, and the event only ends the task.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.packing import PLAIN
from airflow_provider_dreambooth.api.request_ids import RequestList, parse_request_ids
from airflow_provider_dreambooth.results import ready_results, results_for


def end_with(task: Any, context: Context, asked: RequestList) -> Any:
    """
    Make what the trigger needs to end the task: what was asked for, as JSON.

    None if only a worker can end it as it should end; the reason is in the log.
    """
    if reason := _needs_worker(task, context, asked):
        task.log.info("The task will end on a worker, not in the triggerer: %s", reason)
        return None
    metas = {request.request_id: request.meta for request in asked.requests}
    named = [{"request_id": request_id, "meta": metas[request_id]} for request_id in asked.order]
    return named[0] if asked.single else named


async def push_results(ti: Any, batch: Batch, named: object) -> bool:
    """
    Push XCom ``return_value`` from the triggerer, if every request is ready.

    :param ti: the trigger's task instance.
    :param named: from :func:`end_with`.
    """
    from airflow.sdk import BaseXCom  # a task of an older Airflow never comes here

    asked = parse_request_ids(named)
    if len(ready_results(batch, asked)) < len(asked.order):
        return False
    await BaseXCom.aset(
        key=BaseXCom.XCOM_RETURN_KEY,
        value=results_for(batch, asked),
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=ti.map_index,
    )
    return True


def _needs_worker(task: Any, context: Context, asked: RequestList) -> str | None:
    """Name what Airflow does on a worker only, if this task needs any of it."""
    too_old = "in this Airflow a trigger cannot push XComs as a worker does; 3.3 or newer is needed"
    try:
        from airflow.sdk import BaseXCom
        from airflow.sdk.execution_time.xcom import XCom
        from airflow.sdk.listener import get_listener_manager
    except ImportError:
        return too_old
    if not hasattr(BaseXCom, "aset"):
        return too_old
    ti: Any = context["ti"]
    listeners = get_listener_manager().hook.on_task_instance_success.get_hookimpls()
    mapped_over = not ti.is_mapped and next(task.iter_mapped_dependants(), None) is not None
    reasons = {
        "it has outlets": task.outlets,
        "it has an on_success_callback": task.on_success_callback,
        "its do_xcom_push is off": not task.do_xcom_push,
        "its multiple_outputs is on": task.multiple_outputs,
        "it returns the DAG's result": task.returns_dag_result,
        "another task is mapped over its result": mapped_over,
        f"it waits for more than {PLAIN} requests": len(asked.order) > PLAIN,
        "XComs are kept in a custom backend": XCom is not BaseXCom,
        "a listener, such as OpenLineage's, hears of successes on workers only": listeners,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
