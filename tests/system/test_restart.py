# SPDX-License-Identifier: Apache-2.0
"""The triggerer loses power while it waits for three requests, and is started again later."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_dreambooth.exceptions import DreamboothTimeout
from tests.system.until import until

HURRIED = 16  # seconds, in dags/waiting.py

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]


@dataclass(frozen=True)
class Wait:
    """How the wait for one request ended."""

    request_id: str
    tries: int
    state: str
    result: Any
    log: str


@pytest.fixture(scope="module")
def waits(system) -> dict[str, Wait]:
    """
    Three waits that outlast their triggerer.

    ``resumed`` has time enough and becomes ready after the restart; the two others run out of time while
    there is no triggerer, and one of them, ``found``, becomes ready meanwhile.
    """
    api, sandbox = system.airflow.api, system.sandbox
    dags = {"resumed": "patient", "found": "hurried", "missed": "hurried"}
    ids = {name: sandbox.add(prompt=name, ready_in=inf) for name in dags}
    runs = {name: api.trigger(dag, {"request_id": ids[name]}) for name, dag in dags.items()}
    deadline = time.time() + HURRIED + 3  # the sensors began a little after they were triggered
    for name, dag in dags.items():
        api.wait_for_task(dag, runs[name], "wait", "deferred")
    until(
        lambda: all(sandbox.fetches(each) >= 2 for each in ids.values())
    )  # the worker's look, and a trigger's
    assert time.time() < deadline - 3, (
        "this machine is too slow for the deadline to be passed without triggerer"
    )

    system.airflow.kill("triggerer")
    sandbox.finish(ids["found"])
    fetches = {name: sandbox.fetches(ids[name]) for name in dags}
    until(lambda: time.time() > deadline)
    assert fetches == {name: sandbox.fetches(ids[name]) for name in dags}, "somebody else asks"

    system.airflow.start("triggerer")
    until(lambda: sandbox.fetches(ids["resumed"]) > fetches["resumed"])
    sandbox.finish(ids["resumed"])
    ended = {}
    for name, dag in dags.items():
        api.wait_for_run(dag, runs[name])
        [task] = api.task_instances(dag, runs[name])
        log = system.airflow.task_log(dag, runs[name], "wait")
        result = api.xcom(dag, runs[name], "wait")
        ended[name] = Wait(ids[name], task["try_number"], task["state"], result, log)
    return ended


def test_the_wait_goes_on(waits):
    wait = waits["resumed"]
    assert (wait.state, wait.tries) == ("success", 1), wait.log
    assert wait.result["request_id"] == wait.request_id
    assert wait.log.count("fired event") == 1


def test_what_became_ready_past_the_deadline_is_not_lost(waits):
    wait = waits["found"]
    assert (wait.state, wait.tries) == ("success", 1), wait.log
    assert wait.result["request_id"] == wait.request_id
    assert wait.log.count("fired event") == 1


def test_what_is_not_ready_then_is_out_of_time_and_not_waited_for_again(waits):
    wait = waits["missed"]
    assert (wait.state, wait.tries) == ("failed", 1), wait.log
    assert issubclass(DreamboothTimeout, AirflowSensorTimeout)
    assert f'"exc_type":"{DreamboothTimeout.__name__}"' in wait.log
    assert wait.request_id in wait.log
    assert wait.log.count("fired event") == 1
