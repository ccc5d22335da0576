# SPDX-License-Identifier: Apache-2.0
"""One result, one exception and one number of requests, whatever the mode: every scenario in each of them."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowSkipException

from airflow_provider_dreambooth import exceptions
from airflow_provider_dreambooth.sandbox import Sandbox
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor
from tests.airflow_versions import AIRFLOW, HAS_STATE_STORE, needs_airflow
from tests.modes.task_runner import TaskInstance, run_task

MODES = {
    "poke": {"mode": "poke", "deferrable": False},
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "deferrable": {"deferrable": True},
    "ending in the triggerer": {"deferrable": True, "end_from_trigger": True},
}


# Before, each look in reschedule mode asks for everything anew, as if it were the first.
FORGETFUL = needs_airflow(3, 3, "before, nothing is kept between two looks in reschedule mode")
remembering = pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=FORGETFUL) if mode == "reschedule" else mode for mode in MODES]
)


@dataclass
class Scenario:
    """What the service answers, and how the wait for it must end."""

    name: str
    replies: tuple[Any, ...] = ()
    ready_in: float = 0.0
    sensor: dict[str, Any] = field(default_factory=dict)
    error: type[BaseException] | None = None
    says: tuple[str, ...] = ()
    requests: int | None = None
    """How many fetches exactly; None where the clock decides."""
    remembers: bool = False
    """Whether it ends so only if one look knows of those before."""


FAULTS = ("http_500", "drop", "html_200", "not_json", "cut", "empty_body", "server_error", "http_429:0.1")
# A good answer between them resets the growing wait after a failure, so the test is quick.
PASSING = tuple(reply for fault in FAULTS for reply in (fault, "processing"))
FOR_EVER = 50

SCENARIOS = [
    Scenario("ready at once", requests=1),
    Scenario("ready later", ("processing",) * 3, requests=4),
    Scenario("faults that pass", PASSING, requests=len(PASSING) + 1),
    Scenario("faults after a good answer", ("processing", "http_500", "processing", "drop"), requests=5),
    Scenario("one plain link", ("success_string",), requests=1),
    Scenario("newer reply", ("success_newer",), requests=1),
    Scenario("not found at first", ("not_found", "not_found"), requests=3),
    Scenario(
        "never found",
        ("not_found",) * FOR_EVER,
        sensor={"not_found_grace": 0},
        error=exceptions.DreamboothRequestNotFound,
        says=("Request not found", "bills nothing"),
        requests=1,
    ),
    Scenario(
        "job failed",
        ("processing", "job_failed"),
        error=exceptions.DreamboothJobFailed,
        says=("Failed, Try Again", "billed as a new request"),
        requests=2,
    ),
    Scenario("no pictures", ("success_empty_list",), error=exceptions.DreamboothJobFailed, requests=1),
    Scenario(
        "key refused later",
        ("processing", *("invalid_key",) * FOR_EVER),
        error=exceptions.DreamboothKeyRefused,
        says=("Invalid Api Key", "password"),
        requests=2,
    ),
    Scenario("HTTP 401", ("processing", "http_401"), error=exceptions.DreamboothKeyRefused, requests=2),
    Scenario("HTTP 403", ("processing", "http_403"), error=exceptions.DreamboothRequestRefused, requests=2),
    Scenario("quota", ("monthly_limit",), error=exceptions.DreamboothQuotaExceeded, requests=1),
    Scenario(
        "redirect elsewhere",
        ("redirect_302:https://elsewhere.example/x",),
        error=exceptions.DreamboothRequestRefused,
        says=("elsewhere.example", "trusted_hosts"),
        requests=1,
    ),
    Scenario(
        "the service stays away",
        ("http_503",) * FOR_EVER,
        sensor={"max_consecutive_failures": 3},
        error=exceptions.DreamboothUnavailable,
        says=("HTTP 503", "bills nothing"),
        requests=3,
        remembers=True,
    ),
    Scenario(
        "HTML after deferral",
        ("processing", *("html_200",) * FOR_EVER),
        sensor={"max_consecutive_failures": 4},
        error=exceptions.DreamboothUnavailable,
        requests=5,
        remembers=True,
    ),
    Scenario(
        "not in time",
        ready_in=3600,
        sensor={"timeout": 0.5},
        error=exceptions.DreamboothTimeout,
        says=("still processing", "'timeout'"),
    ),
    Scenario(
        "deadline at once",
        ready_in=3600,
        sensor={"timeout": 0},
        error=exceptions.DreamboothTimeout,
        requests=1,
    ),
    Scenario(
        "soft_fail on a timeout",
        ready_in=3600,
        sensor={"timeout": 0, "soft_fail": True},
        error=AirflowSkipException,
    ),
    Scenario(
        "soft_fail on a failed job",
        ("processing", "job_failed"),
        sensor={"soft_fail": True},
        error=AirflowSkipException,
    ),
    Scenario(
        "soft_fail does not hide faults that a retry may heal",
        ("processing", *("http_500",) * FOR_EVER),
        sensor={"soft_fail": True, "max_consecutive_failures": 2},
        error=exceptions.DreamboothUnavailable,
        requests=3,
        remembers=True,
    ),
    Scenario(
        "never_fail",
        ("http_500",) * FOR_EVER,
        sensor={"never_fail": True, "max_consecutive_failures": 2},
        error=AirflowSkipException,
        requests=2,
        remembers=True,
    ),
    Scenario(
        "silent_fail",
        ("http_500",) * 4,
        sensor={"silent_fail": True, "max_consecutive_failures": 2},
        requests=5,
    ),
]


@pytest.fixture
def service(monkeypatch):
    with Sandbox(key="sandbox-key") as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", sandbox.connection_json)
        yield sandbox


def sensor(mode: str, request_id: Any, **more: Any) -> Any:
    options = {"poke_interval": 0.1, "timeout": 60, **MODES[mode], **more}
    return lambda: DreamboothFetchSensor(task_id="wait", dag=DAG("modes"), request_id=request_id, **options)


def told(error: BaseException | None) -> str:
    """Everything that the traceback shows: Airflow wraps a skip of a resumed sensor once more."""
    return f"{error} {told(error.__cause__)}" if error else ""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_mode_ends_alike(service: Sandbox, scenario: Scenario, mode: str):
    if scenario.remembers and mode == "reschedule" and not HAS_STATE_STORE:
        pytest.skip(FORGETFUL.kwargs["reason"])
    request_id = service.add(prompt="a fox", ready_in=scenario.ready_in, replies=scenario.replies)

    ended = run_task(sensor(mode, request_id, **scenario.sensor))

    if scenario.error is None:
        assert ended.error is None
        assert ended.result["request_id"] == request_id
        assert ended.result["status"] == "success"
        assert ended.result["output"][0].startswith(service.url)
    else:
        assert type(ended.error) is scenario.error
        for words in (request_id, *scenario.says):
            assert words in told(ended.error)
    if scenario.requests is not None:
        assert service.fetches(request_id) == scenario.requests
    if mode == "ending in the triggerer" and ended.error is None and AIRFLOW >= (3, 3):
        assert ended.events == ["success"] * ended.deferred


@remembering
def test_of_a_list_one_failure_loses_none_of_the_others(service: Sandbox, mode: str):
    good = service.add(prompt="good", replies=("processing",))
    failed = service.add(prompt="failed", replies=("processing", "job_failed"))
    slow = service.add(prompt="slow", replies=("processing",) * 5)

    ended = run_task(sensor(mode, [good, failed, slow, good]))

    assert type(ended.error) is exceptions.DreamboothJobFailed
    assert f"1 of 3 requests gave no pictures: request {failed}: job failed" in str(ended.error)
    assert [ready["request_id"] for ready in ended.xcoms["ready"]] == [good, slow, good]
    assert ended.xcoms["failed"] == [
        {"request_id": failed, "kind": "job_failed", "message": "Failed, Try Again"}
    ]
    assert [service.fetches(rid) for rid in (good, failed, slow)] == [2, 2, 6]


@remembering
def test_a_403_for_one_of_a_list_is_not_taken_for_all_of_them(service: Sandbox, mode: str):
    foreign = service.add(prompt="of somebody else", replies=("http_403",))
    own = service.add(prompt="own", replies=("processing", "processing"))

    ended = run_task(sensor(mode, [foreign, own]))

    assert type(ended.error) is exceptions.DreamboothRequestRefused
    assert [ready["request_id"] for ready in ended.xcoms["ready"]] == [own]


@pytest.mark.parametrize("mode", MODES)
def test_one_connection_serves_a_list_in_one_look(
    service: Sandbox, monkeypatch: pytest.MonkeyPatch, mode: str
):
    narrow = {**json.loads(service.connection_json), "extra": {"max_connections": 1}}
    monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", json.dumps(narrow))
    ids = [service.add(prompt=str(n)) for n in range(5)]

    ended = run_task(sensor(mode, ids))

    assert [one["request_id"] for one in ended.result] == ids
    assert ended.deferred == 0
    assert service.connections == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_list_comes_back_in_its_order_and_repeats_cost_nothing(service: Sandbox, mode: str):
    first, second = (service.add(prompt=f"number {n}", ready_in=0.3 - n / 10) for n in (1, 2))

    ended = run_task(sensor(mode, [second, int(first), second]))

    assert ended.error is None
    assert [one["request_id"] for one in ended.result] == [second, first, second]


@pytest.mark.parametrize("mode", MODES)
def test_a_long_list_is_passed_on_in_little_space(service: Sandbox, mode: str):
    ids = [service.add(prompt=str(n), replies=("processing", "success_newer")) for n in range(120)]

    ended = run_task(sensor(mode, ids, poke_interval=1.0))

    assert [one["request_id"] for one in ended.result] == ids
    assert {tuple(one) for one in ended.result} <= {
        ("request_id", "status", "output"),
        ("request_id", "status", "output", "nsfw_content_detected"),
    }
    assert {service.fetches(rid) for rid in ids} == {2}
    for event in ended.events:
        assert len(json.dumps(event)) < len(json.dumps(ended.result)) / 2


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_key_ends_a_list_with_one_line_and_few_requests(service: Sandbox, mode: str):
    ids = [service.add(prompt="never seen") for _ in range(100)]
    service.set_key("another-key")

    ended = run_task(sensor(mode, ids))

    assert type(ended.error) is exceptions.DreamboothKeyRefused
    assert "100 of 100 requests" in str(ended.error)
    assert str(ended.error).count("Invalid Api Key") == 1
    assert sum(service.fetches(rid) for rid in ids) <= 10
    assert "sandbox-key" not in str(ended.error)


@pytest.mark.parametrize("mode", MODES)
def test_no_look_before_half_the_eta_and_none_for_what_is_ready(service: Sandbox, mode: str):
    request_id = service.add(prompt="a fox", ready_in=0.4)
    submitted = {"request_id": request_id, "status": "processing", "eta": 0.8, "meta": {"seed": 7}}
    link = f"{service.url}/pictures/x.png"

    waited = run_task(sensor(mode, submitted))
    given = run_task(sensor(mode, {"request_id": 5, "status": "success", "output": [link]}))

    assert waited.result["meta"] == {"seed": 7}
    assert service.fetches(request_id) == 1
    assert given.result == {"request_id": "5", "status": "success", "output": [link]}
    assert service.fetches("5") == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "wrong", [None, "", [], "None", {"status": "error"}, [1, None], "../../admin", True, 1.5]
)
def test_bad_ids_end_before_anything_is_sent(service: Sandbox, mode: str, wrong: Any):
    ended = run_task(sensor(mode, wrong))

    assert type(ended.error) is exceptions.DreamboothInputError
    assert "Nothing was sent" in str(ended.error)
    assert service.journal == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("connection", "says"),
    [
        ({"password": ""}, "no API key"),
        ({"extra": {"timeut": 3}}, "unknown extra 'timeut'"),
        ({"extra": {"api_version": "v9"}}, "'v9'"),
        ({"host": "ftp://x"}, "no base URL"),
    ],
)
def test_a_bad_connection_is_named(
    service: Sandbox, monkeypatch: pytest.MonkeyPatch, mode: str, connection: dict[str, Any], says: str
):
    fields = {"conn_type": "dreambooth", "host": service.url, "password": "sandbox-key", **connection}
    monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", json.dumps(fields))

    ended = run_task(sensor(mode, "1"))

    assert type(ended.error) is exceptions.DreamboothConnectionError
    assert says in str(ended.error)
    assert "'dreambooth_default'" in str(ended.error)
    assert service.journal == []


@pytest.mark.parametrize("mode", MODES)
def test_an_undefined_connection_is_named(service: Sandbox, mode: str):
    ended = run_task(sensor(mode, "1", dreambooth_conn_id="nowhere"))

    assert type(ended.error) is exceptions.DreamboothConnectionError
    assert "'nowhere' is not defined" in str(ended.error)


def test_without_a_state_store_reschedule_mode_still_gets_there(service: Sandbox):
    ready = service.add(prompt="ready")
    later = service.add(prompt="later", replies=("processing", "http_500", "processing"))

    ended = run_task(sensor("reschedule", [ready, later]), state_store=False)

    assert [one["request_id"] for one in ended.result] == [ready, later]
    assert service.fetches(ready) == 4  # each look asks for everything again


def test_without_a_state_store_the_deadline_counts_from_the_first_look(service: Sandbox):
    never = service.add(prompt="never", ready_in=3600)

    ended = run_task(sensor("reschedule", never, timeout=0.5), state_store=False)

    assert type(ended.error) is exceptions.DreamboothTimeout


@pytest.mark.parametrize("mode", MODES)
def test_a_key_changed_while_waiting_heals_the_wait(
    service: Sandbox, monkeypatch: pytest.MonkeyPatch, mode: str
):
    request_id = service.add(prompt="a fox", ready_in=1.2)

    def rotate() -> None:
        monkeypatch.setenv(
            "AIRFLOW_CONN_DREAMBOOTH_DEFAULT", service.connection_json.replace("sandbox-key", "rotated-key")
        )
        service.set_key("rotated-key")

    timer = threading.Timer(0.5, rotate)
    timer.start()
    ended = run_task(sensor(mode, request_id))
    timer.join()

    assert ended.error is None
    assert ended.result["request_id"] == request_id


def test_the_first_look_at_hundreds_does_not_hold_the_worker(
    service: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("airflow_provider_dreambooth.waiting.FIRST_LOOK", 0.5)
    ids = [service.add(prompt="many", replies=("delay:0.1",)) for _ in range(300)]
    ended = run_task(sensor("deferrable", ids))

    assert ended.error is None
    assert ended.deferred == 1
    assert len(ended.result) == 300
    assert {service.fetches(rid) for rid in ids} == {1}


def test_a_deferred_task_keeps_to_its_execution_timeout(service: Sandbox):
    request_id = service.add(prompt="never", ready_in=3600)
    ended = run_task(sensor("deferrable", request_id, execution_timeout=timedelta(seconds=0.4)))
    assert type(ended.error) is exceptions.DreamboothTimeout


@remembering
def test_what_was_ready_is_kept_when_the_connection_goes_away(
    service: Sandbox, monkeypatch: pytest.MonkeyPatch, mode: str
):
    ready = service.add(prompt="ready")
    waiting = service.add(prompt="waiting", replies=("processing*",))
    fields = json.loads(service.connection_json)

    def withdraw() -> None:
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", json.dumps({**fields, "password": ""}))
        service.set_key("another-key")

    # In reschedule mode each look is a run of its own: it finds no key at all, and asks for nothing more.
    timer = threading.Timer(0.5, withdraw)
    timer.start()
    ended = run_task(sensor(mode, [ready, waiting]))
    timer.join()

    assert type(ended.error) is exceptions.DreamboothConnectionError
    assert [one["request_id"] for one in ended.xcoms["ready"]] == [ready]


@pytest.mark.parametrize("mode", MODES)
def test_pictures_on_their_way_are_kept_when_the_account_is_refused(service: Sandbox, mode: str):
    slow = [service.add(prompt=str(n), replies=("delay:0.5",)) for n in range(5)]
    refused = service.add(prompt="refused", replies=("monthly_limit",))

    ended = run_task(sensor(mode, [*slow, refused]))

    assert type(ended.error) is exceptions.DreamboothQuotaExceeded
    assert [one["request_id"] for one in ended.xcoms["ready"]] == slow


@pytest.mark.parametrize("mode", MODES)
def test_a_retry_does_not_wait_for_the_eta_again(service: Sandbox, mode: str):
    request_id = service.add(prompt="x")
    ended = run_task(sensor(mode, {"request_id": request_id, "eta": 600}, timeout=1000), try_number=2)
    assert ended.result["request_id"] == request_id


@pytest.mark.parametrize("mode", MODES)
def test_what_is_ready_already_needs_no_connection(mode: str):
    ready = {"request_id": 5, "status": "success", "output": ["https://pictures.example/5.png"]}
    ended = run_task(sensor(mode, [{"request_id": 5}, ready], dreambooth_conn_id="nowhere"))
    assert ended.result[1]["output"] == ready["output"]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("not_found_grace", None), ("not_found_grace", -1), ("max_consecutive_failures", 0), ("timeout", -1)],
)
def test_wrong_parameters_are_told_when_the_dag_is_parsed(parameter: str, value: Any):
    with pytest.raises((ValueError, AirflowException), match=parameter):  # Airflow's own check comes first
        sensor("poke", "1", **{parameter: value})()


@pytest.mark.parametrize("event", [None, {}, {"version": 2}, {"version": 1, "batch": {"version": 9}}])
def test_an_event_of_another_release_says_what_to_do(service: Sandbox, event: Any):
    with pytest.raises(exceptions.DreamboothTransientError, match="run the same airflow-provider-dreambooth"):
        sensor("deferrable", "1")().execute_complete({"ti": TaskInstance()}, event)
