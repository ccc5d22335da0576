# SPDX-License-Identifier: Apache-2.0
"""Which tasks may end in the triggerer, and that they end there as a worker would end them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.listeners import hookimpl
from airflow.providers.common.compat.sdk import DAG, Asset, TaskDeferred, task

from airflow_provider_dreambooth.sandbox import Sandbox
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor
from airflow_provider_dreambooth.triggers.dreambooth import DreamboothFetchTrigger
from tests.airflow_versions import AIRFLOW, line_to_airflow, needs_airflow
from tests.modes.task_runner import TaskInstance, Triggerer, only_event, run_task

ends_in_the_triggerer = needs_airflow(3, 3, "before, a trigger cannot push XComs as a worker does")


@pytest.fixture
def service(monkeypatch):
    with Sandbox(key="sandbox-key") as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", sandbox.connection_json)
        yield sandbox


def sensor(request_id: Any, **more: Any) -> DreamboothFetchSensor:
    options = {
        "task_id": "wait",
        "dag": DAG("modes"),
        "deferrable": True,
        "end_from_trigger": True,
        "poke_interval": 0.1,
        **more,
    }
    return DreamboothFetchSensor(request_id=request_id, **options)


def deferred(waiting: DreamboothFetchSensor, **ti: Any) -> DreamboothFetchTrigger:
    with pytest.raises(TaskDeferred) as deferral:
        waiting.execute({"ti": TaskInstance(**ti)})
    assert deferral.value.method_name == "execute_complete"
    trigger = deferral.value.trigger
    assert isinstance(trigger, DreamboothFetchTrigger)
    return trigger


@ends_in_the_triggerer
def test_the_result_is_that_of_a_worker(service):
    def ask() -> list[Any]:
        first = service.add(prompt="one", replies=("processing", "success_newer*"))
        second = service.add(prompt="two", replies=("processing", "success_string*"))
        ready = {"request_id": 5, "status": "success", "output": ["https://pictures.example/5.png"]}
        return [{"request_id": first, "meta": {"seed": 7, "size": [512, None]}}, second, ready, int(first)]

    for wanted in (ask(), ask()[:1], ask()[0], ask()[1]):
        here = run_task(lambda wanted=wanted: sensor(wanted))
        there = run_task(lambda wanted=wanted: sensor(wanted, end_from_trigger=False))
        assert here.events == ["success"]
        assert (there.deferred, there.error) == (0, None)  # the sandbox gives its replies once
        assert here.result == there.result
        assert here.xcoms == there.xcoms == {}


@ends_in_the_triggerer
def test_what_failed_fails_on_a_worker(service):
    good, bad = service.add(prompt="good"), service.add(prompt="bad", replies=("processing", "job_failed"))
    ended = run_task(lambda: sensor([good, bad]))
    assert ended.error is not None
    assert [event["version"] for event in ended.events] == [1]
    assert [one["request_id"] for one in ended.xcoms["ready"]] == [good]


@ends_in_the_triggerer
@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"outlets": [Asset("s3://pictures/fox")]}, "outlets"),
        ({"on_success_callback": print}, "on_success_callback"),
        ({"do_xcom_push": False}, "do_xcom_push"),
        ({"multiple_outputs": True}, "multiple_outputs"),
        ({"end_from_trigger": False}, None),
    ],
)
def test_a_task_that_needs_a_worker_ends_there(service, task_log, more: dict[str, Any], says: str | None):
    request_id = service.add(prompt="never", ready_in=3600)
    assert deferred(sensor(request_id, **more)).end_with is None
    log = task_log()
    assert ("will end on a worker" in log) is (says is not None)
    assert (says or "") in log


@ends_in_the_triggerer
def test_a_list_of_many_ends_on_a_worker(service, task_log):
    ids = [service.add(prompt="never", ready_in=3600) for _ in range(51)]
    assert deferred(sensor(ids[:50])).end_with is not None
    assert deferred(sensor(ids)).end_with is None
    assert "more than 50 requests" in task_log()


@ends_in_the_triggerer
def test_a_result_that_others_are_mapped_over_is_measured_on_a_worker(service):
    @task
    def show(result: Any) -> None: ...

    request_id = service.add(prompt="never", ready_in=3600)
    with DAG("modes") as dag:
        waiting = sensor([request_id], dag=dag)
        show.expand(result=waiting.output)
    assert deferred(waiting).end_with is None
    assert deferred(waiting, is_mapped=True, map_index=3).end_with is not None


def test_the_result_of_a_dag_is_marked_on_a_worker(service):
    waiting = sensor(service.add(prompt="never", ready_in=3600))
    waiting.returns_dag_result = True
    assert deferred(waiting).end_with is None


@ends_in_the_triggerer
def test_an_xcom_backend_is_used_on_a_worker(service, monkeypatch):
    from airflow.sdk import BaseXCom

    backend = type("Backend", (BaseXCom,), {})
    monkeypatch.setattr("airflow.sdk.execution_time.xcom.XCom", backend)
    assert deferred(sensor(service.add(prompt="never", ready_in=3600))).end_with is None


class Listener:
    """Hears of each success, as OpenLineage's listener does."""

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None: ...


@ends_in_the_triggerer
def test_a_listener_hears_of_the_success_on_a_worker(service):
    from airflow.sdk.listener import get_listener_manager

    waiting = sensor(service.add(prompt="never", ready_in=3600))
    manager = get_listener_manager()
    listener = Listener()
    manager.add_listener(listener)
    try:
        assert deferred(waiting).end_with is None
    finally:
        manager.pm.unregister(listener)


@pytest.mark.parametrize("missing", ["airflow.sdk.BaseXCom.aset", "airflow.sdk.execution_time.xcom.XCom"])
def test_an_older_airflow_ends_it_on_a_worker(service, monkeypatch, task_log, missing: str):
    request_id = service.add(prompt="never", ready_in=3600)
    if AIRFLOW >= (3, 3):
        monkeypatch.delattr(missing)
    assert deferred(sensor(request_id)).end_with is None
    assert "3.3 or newer" in task_log()


class Refusing(Triggerer):
    """Airflow, while its database is away."""

    async def asend(self, message: Any) -> None:
        raise RuntimeError("no XComs today")


@ends_in_the_triggerer
def test_a_refused_xcom_leaves_the_end_to_a_worker(service, task_log):
    trigger = deferred(sensor(service.add(prompt="a fox", replies=("processing",))))
    ti = TaskInstance()
    trigger.task_instance = ti  # type: ignore[assignment]
    with line_to_airflow(Refusing(ti)):
        event = asyncio.run(only_event(trigger))
    assert event["error"] is None
    assert len(event["batch"]["verdicts"]) == 1
    log = task_log()
    assert "a worker will end the task" in log
    assert "no XComs today" in log


@ends_in_the_triggerer
def test_dag_test_runs_the_trigger_alone_and_ends_the_task_itself(service):
    trigger = deferred(sensor(service.add(prompt="a fox", replies=("processing",))))
    assert trigger.task_instance is None
    event = asyncio.run(only_event(trigger))
    assert [verdict["outcome"] for verdict in event["batch"]["verdicts"].values()] == ["Ready"]
