# SPDX-License-Identifier: Apache-2.0
"""A worker loses power at each point of a submit, and the retry does not pay again."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.airflow_versions import needs_airflow
from tests.system.until import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(400),
    needs_airflow(3, 3, "before that nothing is remembered of a submit"),
]


@dataclass(frozen=True)
class Generated:
    """How a task ended whose worker was killed in its first try."""

    state: str
    tries: int
    submits: int
    fetched: set[str]
    result: Any
    log: str


def submits(system, prompt: str) -> list[Any]:
    """The submits that the service has accepted."""
    return [one for one in system.sandbox.submits if one.body["prompt"] == prompt and one.request_id]


def start(system, folder: Path, prompt: str, moment: str = "", dag: str = "on_the_worker") -> str:
    conf = {"prompt": prompt, "moment": moment, "pid_file": str(folder / prompt)}
    return system.airflow.api.trigger(dag, conf)


def end(system, prompt: str, run_id: str, dag: str = "on_the_worker") -> Generated:
    api = system.airflow.api
    api.wait_for_run(dag, run_id)
    [task] = api.task_instances(dag, run_id)
    sent = submits(system, prompt)
    return Generated(
        state=task["state"],
        tries=task["try_number"],
        submits=len(sent),
        fetched={one.request_id for one in sent},
        result=api.xcom(dag, run_id, "generate"),
        log=system.airflow.task_log(dag, run_id, "generate"),
    )


# When the worker is killed, and then: the submits that the service accepted, and how the retry ends.
MOMENTS = {
    "before sending": (1, "success"),
    "after sending": (0, "failed"),
    "before accepted": (1, "failed"),
    "after accepted": (1, "success"),
}


@pytest.fixture(scope="module")
def killed(system, tmp_path_factory) -> dict[str, Generated]:
    folder = tmp_path_factory.mktemp("pids")
    runs = {moment: start(system, folder, moment, moment) for moment in MOMENTS}
    return {moment: end(system, moment, run_id) for moment, run_id in runs.items()}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_submit_is_billed_once_whenever_the_worker_is_killed(killed, moment):
    billed, state = MOMENTS[moment]
    found = killed[moment]
    assert (found.submits, found.state, found.tries) == (billed, state, 2), found.log
    if state == "success":
        assert found.result["request_id"] in found.fetched
        assert found.result["meta"]["prompt"] == moment
    else:
        assert '"exc_type":"DreamboothSubmitUnknown"' in found.log
        assert "It may have been billed, so it is not repeated" in found.log
        assert "track_id" in found.log


def test_a_known_request_is_gone_on_with(killed):
    assert "going on with it. Nothing is submitted or billed" in killed["after accepted"].log


def test_killed_while_the_service_has_not_replied(system, tmp_path):
    system.sandbox.script("submit", "billed_then_hang")
    run_id = start(system, tmp_path, "no reply")
    until(lambda: submits(system, "no reply"))
    os.kill(int((tmp_path / "no reply").read_text()), signal.SIGKILL)
    found = end(system, "no reply", run_id)
    assert (found.submits, found.state, found.tries) == (1, "failed", 2), found.log
    assert '"exc_type":"DreamboothSubmitUnknown"' in found.log


def test_killed_while_it_waits(system, tmp_path):
    run_id = start(system, tmp_path, "waiting")
    until(lambda: submits(system, "waiting"))
    [request_id] = (one.request_id for one in submits(system, "waiting"))
    until(lambda: system.sandbox.fetches(request_id))
    os.kill(int((tmp_path / "waiting").read_text()), signal.SIGKILL)
    system.sandbox.finish(request_id)
    found = end(system, "waiting", run_id)
    assert (found.submits, found.state, found.tries) == (1, "success", 2), found.log
    assert found.result["request_id"] == request_id


def test_a_cleared_task_goes_on_with_its_request_unless_a_new_one_is_asked_for(system, tmp_path):
    api = system.airflow.api
    run_id = start(system, tmp_path, "cleared")
    first = end(system, "cleared", run_id)
    assert (first.submits, first.state) == (1, "success"), first.log

    api.clear("on_the_worker", run_id)
    again = end(system, "cleared", run_id)
    assert (again.submits, again.state) == (1, "success"), again.log
    assert again.result == first.result

    api.set_variable("force_new", "yes")
    try:
        api.clear("on_the_worker", run_id)
        anew = end(system, "cleared", run_id)
    finally:
        api.set_variable("force_new", "")
    assert (anew.submits, anew.state) == (2, "success"), anew.log
    assert anew.result["request_id"] not in first.fetched
    assert "force_new is set" in anew.log


@pytest.mark.parametrize("dag", ["on_the_worker", "in_the_triggerer"])
def test_a_full_queue_is_waited_for_without_a_worker(system, tmp_path, dag):
    system.sandbox.script("submit", "queue_full_2025:6")
    run_id = start(system, tmp_path, dag, dag=dag)
    state = "up_for_reschedule" if dag == "on_the_worker" else "deferred"
    system.airflow.api.wait_for_task(dag, run_id, "generate", state)
    assert submits(system, dag) == []
    found = end(system, dag, run_id, dag)
    assert (found.submits, found.state) == (1, "success"), found.log


def test_a_lost_triggerer_loses_no_request(system, tmp_path):
    run_id = start(system, tmp_path, "triggerer", dag="in_the_triggerer")
    system.airflow.api.wait_for_task("in_the_triggerer", run_id, "generate", "deferred")
    system.airflow.kill("triggerer")
    system.airflow.start("triggerer")
    found = end(system, "triggerer", run_id, "in_the_triggerer")
    assert (found.submits, found.state) == (1, "success"), found.log
