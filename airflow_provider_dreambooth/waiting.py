# SPDX-License-Identifier: Apache-2.0
"""What a task that waits does before it defers, and after the trigger's event has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from math import inf
from typing import Any, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator, Context, conf

from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.packing import EVENT_VERSION, pack, unpack
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.request_ids import Requested, RequestList
from airflow_provider_dreambooth.exceptions import (
    DreamboothConnectionError,
    DreamboothError,
    DreamboothTransientError,
)
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.results import failures_of, ready_results

DEFAULT_TIMEOUT = conf.getfloat("sensors", "default_timeout")
"""Seconds; that of every sensor."""
FIRST_LOOK = 5.0
"""Seconds after which a deferrable task begins no further first look; the trigger looks at the rest."""


def check_at_least(**limits: tuple[Any, float]) -> None:
    """
    Check numbers that a DAG's author gives: each name with its value and the least that is accepted.

    Infinity is refused: it is no JSON, so a trigger could not carry it, and would say so after the submit.

    :raises ValueError: naming the parameter.
    """
    for name, (value, least) in limits.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < inf:
            raise ValueError(f"{name} is {value!r}; give a finite number from {least:g} on")


def seconds(value: float | timedelta) -> float:
    """Read a duration, which Airflow's parameters give in either form."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def time_to_wait(task: Any) -> float:
    """
    Give the seconds to a task's deadline.

    Airflow 3 does not enforce ``execution_timeout`` while a task is deferred: it counts as a shorter timeout.
    """
    timeout = float(task.timeout)
    if task.deferrable and task.execution_timeout is not None:
        timeout = min(timeout, float(task.execution_timeout.total_seconds()))
    return timeout


def look_then_defer(
    task: BaseOperator, batch: Batch, conn_id: str, end_with: Callable[[], Any] = lambda: None
) -> None:
    """
    Look once, briefly, for what is due; then give the worker slot back if something is still waited for.

    A request with an ``eta`` is not due before half of it, so that look is not wasted.

    :param end_with: makes what the trigger needs to end the task; called if there will be a trigger.
    :raises TaskDeferred: unless every request has its verdict.
    """
    if not batch.waiting:
        return
    with DreamboothHook(conn_id) as hook:
        hook.look(batch, until=time.time() + FIRST_LOOK)
    if batch.waiting:
        # Only now: it brings aiohttp, which parsing a DAG does without.
        from airflow_provider_dreambooth.triggers.dreambooth import DreamboothFetchTrigger

        task.log.info("%s on connection %r; waiting in the triggerer for the rest", batch.progress, conn_id)
        # No `timeout` for Airflow: the trigger has the deadline and looks once more before it judges,
        # while Airflow's sweep would fail a finished wait because the triggerer was down meanwhile.
        task.defer(
            trigger=DreamboothFetchTrigger(
                dreambooth_conn_id=conn_id, batch=pack(batch), end_with=end_with()
            ),
            method_name="execute_complete",
        )


def begin(
    context: Context, asked: RequestList, *, timeout: float, policy: PollPolicy, began: float | None = None
) -> Batch:
    """Begin to wait, now unless ``began`` (epoch seconds) says otherwise, for at most ``timeout`` seconds."""
    began = time.time() if began is None else began
    first_try = context["ti"].try_number == 1
    requests = [
        replace(one, eta=_eta_left(one, began, first_try=first_try)) if one.eta else one
        for one in asked.requests
    ]
    return Batch(requests, began=began, deadline=began + timeout, policy=policy)


def _eta_left(request: Requested, now: float, *, first_try: bool) -> float | None:
    """Give what is left of an estimate, which counts from the submit; None if it tells nothing any more."""
    if request.submitted_at is None:
        return request.eta if first_try else None
    left = (request.eta or 0.0) - max(now - request.submitted_at, 0.0)
    return left if left > 0 else None


@contextmanager
def keeping_ready(context: Context, batch: Batch, asked: RequestList) -> Iterator[None]:
    """
    Keep in XCom what is ready by then if the wait, or what comes after it, ends in an error, whichever it is.

    A kill or ``execution_timeout`` is none: it may have come in the middle of a talk with Airflow.
    """
    try:
        yield
    except Exception:
        _keep_ready(context, batch, asked)
        raise


def resume(context: Context, event: Mapping[str, Any] | None, asked: RequestList, conn_id: str) -> Batch:
    """
    Read the trigger's event.

    :raises DreamboothConnectionError: if the triggerer could not use the connection.
    :raises DreamboothTransientError: if the trigger broke off, or its event is not of this release. What was
        ready by then is kept in XCom.
    """
    if not event or event.get("version") != EVENT_VERSION:
        raise DreamboothTransientError(
            f"The triggerer sent an event that this release cannot read (version "
            f"{event.get('version') if event else None!r}, known is {EVENT_VERSION}): run the same "
            f"airflow-provider-dreambooth in workers and triggerers, and restart the triggerer after an "
            f"upgrade. A retry waits for the same ids again and bills nothing."
        )
    problem = event.get("error")
    try:
        batch = unpack(event.get("batch"))
    except ValueError as error:
        batch = Batch((), began=0, deadline=0)
        problem = problem or {"kind": "unexpected", "message": str(error)}
    if problem and problem["kind"] == "connection":
        raise_keeping_ready(context, batch, asked, DreamboothConnectionError(problem["message"]))
    if problem:
        message = (
            f"Waiting on connection {conn_id!r} broke off in the triggerer: {problem['message']}. "
            f"A retry waits for the same ids again and bills nothing."
        )
        raise_keeping_ready(context, batch, asked, DreamboothTransientError(message))
    return batch


def raise_keeping_ready(
    context: Context, batch: Batch, asked: RequestList, error: DreamboothError
) -> NoReturn:
    """
    Keep in XCom what there is, then raise.

    XCom ``ready`` gets the results of the requests that are ready, with their links, ``failed`` the others'
    reasons: nothing that was obtained is lost with the task.
    """
    _keep_ready(context, batch, asked)
    raise error


def _keep_ready(context: Context, batch: Batch, asked: RequestList) -> None:
    ti = context["ti"]
    ti.xcom_push(key="ready", value=ready_results(batch, asked))
    ti.xcom_push(key="failed", value=[item.to_dict() for item in failures_of(batch, asked)])
