# SPDX-License-Identifier: Apache-2.0
"""One task that generates: the same result, the same error and the same bill in every mode."""

from __future__ import annotations

import json
import math
import os
import signal
import threading

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout, TaskDeferred

from airflow_provider_dreambooth import exceptions
from airflow_provider_dreambooth.operators import dreambooth as operators
from tests.client.wire import Wire
from tests.modes.generating import KEY, KINDS, MODES, generate
from tests.modes.task_runner import StateStore, TaskInstance, run_task


def failed(ended, cls):
    """Give the text of the error, which is of exactly this class and does not name the key."""
    assert type(ended.error) is cls, ended.error
    assert KEY not in str(ended.error)
    return str(ended.error)


def test_a_key_put_into_a_parameter_by_mistake_is_in_no_error(dreambooth, mode):
    service = dreambooth()
    service.script("submit", "model_not_found")
    ended = run_task(generate(mode, model_id=KEY), state_store=mode.store)
    assert "with model '***' on connection" in failed(ended, exceptions.DreamboothRequestRefused)


@pytest.mark.parametrize(
    "wrong", ["seed", "width", "scheduler", "webhook", "samples", "lora_strength", "clip_skip", "force_new"]
)
@pytest.mark.parametrize("connection", ["there", "not there"])
@pytest.mark.usefixtures("airflow_db")  # without it Airflow 2.11 logs a traceback for what is not there
def test_a_key_in_place_of_another_parameter_is_in_no_error(dreambooth, monkeypatch, wrong, connection):
    service = dreambooth()
    if connection == "not there":
        monkeypatch.delenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT")
    ended = run_task(generate(MODES["worker"], **{wrong: KEY}))
    assert type(ended.error) is exceptions.DreamboothInputError
    assert wrong in str(ended.error)
    assert str(ended.error).endswith("Nothing was sent.")
    # Without the connection nobody knows what its key is.
    assert (KEY in str(ended.error)) == (connection == "not there")
    assert service.submits == []


# -- to its end


@pytest.mark.parametrize("kind", KINDS)
def test_wait_for_the_pictures(dreambooth, mode, kind):
    service = dreambooth()
    ended = run_task(generate(mode, kind, samples=2, seed=7), state_store=mode.store)

    assert ended.error is None
    request_id = service.submits[0].request_id
    assert {**ended.result, "output": None, "meta": None} == {
        "request_id": request_id,
        "status": "success",
        "eta": None,
        "output": None,
        "meta": None,
    }
    assert len(ended.result["output"]) == 2
    assert ended.result["meta"]["seed"] == 7  # of the submit's reply: fetch does not tell it
    assert ended.deferred == (1 if mode.deferrable else 0)
    assert service.accepted() == 1


def test_do_not_wait(dreambooth, mode):
    service = dreambooth(run_time=math.inf)
    ended = run_task(generate(mode, wait_for_completion=False), state_store=mode.store)

    assert ended.error is None
    assert (ended.result["status"], ended.result["output"]) == ("processing", [])
    assert ended.result["eta"] > 0
    assert ended.result["meta"]["prompt"] == "a fox"
    assert ended.xcoms["request_id"] == ended.result["request_id"] == service.submits[0].request_id
    assert service.fetches(ended.result["request_id"]) == ended.deferred == 0


@pytest.mark.parametrize("wait", [True, False])
def test_ready_at_once(dreambooth, mode, wait):
    service = dreambooth()
    service.script("submit", "success")
    ended = run_task(generate(mode, wait_for_completion=wait), state_store=mode.store)

    assert ended.error is None
    assert (ended.result["status"], ended.result["eta"]) == ("success", None)
    assert ended.result["output"][0].startswith(service.url)
    assert service.fetches(ended.result["request_id"]) == ended.deferred == 0


def test_the_request_id_is_in_xcom_before_waiting_begins(dreambooth, mode):
    service = dreambooth()
    context = {"ti": FetchCounting(service)}
    if mode.store:
        context["task_state_store"] = StateStore()
    try:
        generate(mode)().execute(context)
    except TaskDeferred:
        assert mode.deferrable
    assert context["ti"].fetches_at["request_id"] == 0
    assert context["ti"].xcoms["request_id"] == service.submits[0].request_id


class FetchCounting(TaskInstance):
    """Notes how many fetches there were when each XCom was written."""

    def __init__(self, service):
        super().__init__()
        self.service, self.fetches_at = service, {}

    def xcom_push(self, key, value):
        super().xcom_push(key, value)
        [submit] = self.service.submits
        self.fetches_at[key] = self.service.fetches(submit.request_id)


def test_it_times_out_and_names_the_request(dreambooth, mode):
    service = dreambooth(run_time=math.inf)
    ended = run_task(generate(mode, timeout=0.3), state_store=mode.store)

    said = failed(ended, exceptions.DreamboothTimeout)
    assert service.submits[0].request_id in said
    assert ended.xcoms["request_id"] == service.submits[0].request_id


def test_where_a_cleared_task_would_pay_again_nobody_is_told_to_clear_it(dreambooth, mode):
    """Before Airflow 3.3 a cleared task does not know of its request: only the sensor fetches it."""
    service = dreambooth(run_time=math.inf)
    said = failed(run_task(generate(mode, timeout=0), state_store=mode.store), exceptions.DreamboothTimeout)
    told = f"DreamboothFetchSensor(request_id='{service.submits[0].request_id}')"
    assert (told in said) is not mode.store


@pytest.mark.parametrize("fault", ["http_401", "monthly_limit"])
def test_refused_while_it_waits(dreambooth, mode, fault):
    service = dreambooth()
    service.script("fetch", f"{fault}*")
    ended = run_task(generate(mode), state_store=mode.store)

    assert isinstance(ended.error, AirflowFailException)
    request_id = service.submits[0].request_id
    assert request_id in str(ended.error)
    told = f"DreamboothFetchSensor(request_id='{request_id}')"
    assert (told in str(ended.error)) is not mode.store


def test_faults_that_stay_while_it_waits(dreambooth, mode):
    """A retry would go on with the request; where it would not know of it, there must be none."""
    service = dreambooth()
    service.script("fetch", "http_503*")
    ended = run_task(generate(mode, poke_interval=0.001), state_store=mode.store)

    request_id = service.submits[0].request_id
    if mode.store:
        said = failed(ended, exceptions.DreamboothUnavailable)
        assert not isinstance(ended.error, AirflowFailException)
    else:
        said = failed(ended, exceptions.DreamboothPermanentError)
        assert f"DreamboothFetchSensor(request_id='{request_id}')" in said
    assert request_id in said
    assert service.accepted() == 1


def test_a_triggerer_of_another_release(dreambooth):
    """Its event cannot be read; before Airflow 3.3 that too must not become a second submit."""
    service = dreambooth()
    for store, cls in (
        (True, exceptions.DreamboothTransientError),
        (False, exceptions.DreamboothPermanentError),
    ):
        ti = TaskInstance()
        context = {"ti": ti, **({"task_state_store": StateStore()} if store else {})}
        make_task = generate(MODES["deferrable"], prompt=f"a fox {store}")
        with pytest.raises(TaskDeferred) as deferred:
            make_task().execute(context)
        with pytest.raises(exceptions.DreamboothError) as caught:
            make_task().resume_execution(deferred.value.method_name, {"event": {"version": 99}}, context)
        assert type(caught.value) is cls
    assert service.accepted() == 2


def test_execution_timeout_during_the_submit_makes_no_second_one(monkeypatch):
    """Before Airflow 3.3 there is no record that would keep a retry from it."""

    def on_signal(*_):
        raise AirflowTaskTimeout

    def silent(connection):
        wire.read(connection)
        os.kill(os.getpid(), signal.SIGUSR1)
        answered.wait(10)

    answered = threading.Event()
    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        with Wire(silent) as wire:
            fields = {"conn_type": "dreambooth", "host": wire.url, "password": KEY}
            monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", json.dumps(fields))
            ended = run_task(generate(MODES["worker before 3.3"], track_id=KEY), state_store=False)
            answered.set()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "execution_timeout came during the submit" in failed(ended, exceptions.DreamboothSubmitUnknown)


def test_an_xcom_that_fails_at_the_end_makes_no_second_submit(dreambooth, monkeypatch):
    service = dreambooth()
    push = TaskInstance.xcom_push

    def broken(self, key, value):
        if key == "picture_url" and "request_url" in self.xcoms:
            raise OSError("no connection to Airflow")
        push(self, key, value)

    monkeypatch.setattr(TaskInstance, "xcom_push", broken)
    ended = run_task(generate(MODES["worker before 3.3"]), state_store=False)
    assert "no connection to Airflow It is not retried" in failed(ended, exceptions.DreamboothPermanentError)
    assert service.accepted() == 1


@pytest.mark.parametrize("broken", ["it fails", "it is not there"])
def test_an_xcom_that_cannot_be_read_after_the_wait_makes_no_second_submit(dreambooth, broken):
    """Before Airflow 3.3 a retry would not know of the request, so there must be none."""
    service = dreambooth()

    class Forgetful(TaskInstance):
        def xcom_pull(self, **_):
            if broken == "it fails":
                raise OSError("no connection to Airflow")

    context = {"ti": Forgetful()}
    make_task = generate(MODES["deferrable before 3.3"])
    with pytest.raises(TaskDeferred) as deferred:
        make_task().execute(context)
    event = {"version": 1, "batch": deferred.value.trigger.serialize()[1]["batch"]}
    with pytest.raises(exceptions.DreamboothPermanentError) as caught:
        make_task().resume_execution(deferred.value.method_name, {"event": event}, context)
    assert type(caught.value) is exceptions.DreamboothPermanentError
    assert "XCom 'request_id'" in str(caught.value)
    assert service.accepted() == 1


@pytest.mark.parametrize("output", [[], {"0": "https://a.example/1.png"}, ["https://a.example/1.png", 5]])
def test_a_success_without_all_its_links_is_final_where_a_retry_would_pay_again(service_of, output):
    service_of({"status": "success", "output": output})
    ended = run_task(generate(MODES["worker before 3.3"]), state_store=False)
    assert "DreamboothFetchSensor(request_id='5')" in failed(ended, exceptions.DreamboothJobFailed)


# -- a full queue


@pytest.mark.parametrize("fault", ["queue_full_2025:0.05", "http_429:0.05"])
def test_a_full_queue_is_waited_out_and_billed_once(dreambooth, mode, hasty, fault):
    service = dreambooth()
    service.script("submit", [fault] * 2)
    ended = run_task(generate(mode), state_store=mode.store)

    assert ended.error is None
    assert [each.reply for each in service.submits][-1] == "processing"
    assert (service.accepted(), len(service.submits)) == (1, 3)
    pauses = [event for event in ended.events if "state" in event]
    assert len(pauses) == (2 if mode.deferrable else 0)
    assert [event["state"]["for_load"] for event in pauses] == ([1, 2] if mode.deferrable else [])


def test_a_short_wait_for_room_is_slept_through(dreambooth, mode):
    service = dreambooth()
    service.script("submit", "queue_full_2025:0.05")
    ended = run_task(generate(mode, wait_for_completion=False), state_store=mode.store)
    assert ended.error is None
    assert ended.deferred == 0


def test_the_wait_for_room_ends_with_queue_timeout(dreambooth, mode, hasty):
    service = dreambooth()
    service.script("submit", "queue_full_2025:0.1*")
    ended = run_task(generate(mode, queue_timeout=0.6), state_store=mode.store)

    said = failed(ended, exceptions.DreamboothRateLimited)
    assert "Nothing was billed" in said
    assert "pool" in said
    assert not isinstance(ended.error, AirflowFailException)  # a retry begins anew
    assert service.accepted() == 0
    # Each start of the task over and over would be a fresh patience: the attempts are carried along.
    assert 3 <= len(service.submits) <= 8


def test_a_queue_that_the_account_fills_itself(dreambooth, mode, hasty):
    service = dreambooth(max_queued=1, queue_retry_after=0.1, run_time=0.4)
    first = run_task(generate(mode, prompt="one", wait_for_completion=False), state_store=mode.store)
    second = run_task(generate(mode, prompt="two"), state_store=mode.store)
    assert first.error is None
    assert second.error is None
    assert service.accepted() == 2


def test_without_patience_for_a_full_queue(dreambooth, mode):
    service = dreambooth()
    service.script("submit", "queue_full_2025:30")
    ended = run_task(generate(mode, queue_timeout=0), state_store=mode.store)
    failed(ended, exceptions.DreamboothRateLimited)
    assert ended.error.retry_after == 30
    assert len(service.submits) == 1


# -- refused, failed, unknown


@pytest.mark.parametrize(
    ("fault", "cls"),
    [
        ("invalid_key", exceptions.DreamboothKeyRefused),
        ("insufficient_credits", exceptions.DreamboothQuotaExceeded),
        ("model_not_found", exceptions.DreamboothRequestRefused),
        ("validation", exceptions.DreamboothRequestRefused),
    ],
)
def test_a_refusal_is_final(dreambooth, mode, fault, cls):
    service = dreambooth()
    service.script("submit", fault)
    ended = run_task(generate(mode), state_store=mode.store)
    assert "Nothing was billed" in failed(ended, cls)
    assert isinstance(ended.error, AirflowFailException)
    assert (service.accepted(), len(service.submits)) == (0, 1)


def test_a_wrong_parameter_is_told_before_anything_is_sent(dreambooth, mode):
    service = dreambooth()
    for wrong in ({"width": "wide"}, {"prompt": "None"}, {"lora_strength": 0.5}, {"force_new": "perhaps"}):
        said = failed(
            run_task(generate(mode, **wrong), state_store=mode.store), exceptions.DreamboothInputError
        )
        assert said.startswith(f"{next(iter(wrong))} is ")
        assert said.endswith("Nothing was sent.")
    assert service.journal == []


def test_a_job_that_fails(dreambooth, mode):
    service = dreambooth()
    service.script("fetch", ["processing", "job_failed"])
    ended = run_task(generate(mode), state_store=mode.store)
    said = failed(ended, exceptions.DreamboothGenerationFailed)
    assert service.submits[0].request_id in said
    assert "submits anew" in said
    assert not isinstance(ended.error, AirflowFailException)


@pytest.mark.parametrize("fault", ["billed_then_drop", "billed_then_500", "billed_then_garbage", "http_500"])
def test_a_submit_of_which_nobody_knows(dreambooth, mode, fault):
    service = dreambooth()
    service.script("submit", fault)
    ended = run_task(generate(mode), state_store=mode.store)
    said = failed(ended, exceptions.DreamboothSubmitUnknown)
    assert isinstance(ended.error, AirflowFailException)  # no retry by itself
    assert service.submits[0].body["track_id"] in said
    assert len(service.submits) == 1


def test_a_submit_of_which_nobody_knows_is_repeated_on_the_users_word(dreambooth, mode, hasty):
    service = dreambooth()
    service.script("submit", ["billed_then_drop", "http_502"])
    ended = run_task(generate(mode, retry_unknown_submit=True), state_store=mode.store)
    assert ended.error is None
    assert ended.result["request_id"] == service.submits[2].request_id
    assert (service.accepted(), len(service.submits)) == (2, 3)


# -- unsafe pictures

UNSAFE = {"prompt": "a nude fox", "safety_checker": True}


@pytest.mark.parametrize("at_once", [True, False])
def test_unsafe_pictures(dreambooth, mode, at_once, monkeypatch):
    service = dreambooth()
    in_v6(monkeypatch, service)
    for fail in (False, True):
        if at_once:
            service.script("submit", "success")
        ended = run_task(generate(mode, **UNSAFE, fail_on_nsfw=fail), state_store=mode.store)
        if not fail:
            assert ended.result["nsfw_content_detected"] is True
            continue
        said = failed(ended, exceptions.DreamboothUnsafePicture)
        assert service.submits[-1].request_id in said
        assert ended.xcoms["ready"][0]["request_id"] == service.submits[-1].request_id
        assert ended.xcoms["ready"][0]["output"]


def test_safe_pictures_do_not_fail(dreambooth, mode, monkeypatch):
    in_v6(monkeypatch, service := dreambooth())
    ended = run_task(generate(mode, safety_checker=True, fail_on_nsfw=True), state_store=mode.store)
    assert ended.error is None
    assert service.accepted() == 1


def in_v6(monkeypatch, service):
    connection = service.connection_json[:-1] + ', "extra": {"api_version": "v6"}}'
    monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", connection)


# -- models that sleep


def test_a_model_that_sleeps_is_woken(dreambooth, mode, hasty):
    service = dreambooth(sleeping_models=("sleepy",), reload_time=0.3)
    options = {"model_id": "sleepy", "reload_model": True, "reload_seconds": 0.4}
    ended = run_task(generate(mode, **options), state_store=mode.store)
    assert ended.error is None
    assert [each.reply for each in service.submits] == ["model_not_found", "processing"]
    assert sum("model_reload" in each.path for each in service.journal) == 1
    assert service.accepted() == 1
    assert ended.deferred == (2 if mode.deferrable else 0)


def test_a_model_that_sleeps_is_not_woken_unasked(dreambooth, mode):
    service = dreambooth(sleeping_models=("sleepy",))
    ended = run_task(generate(mode, model_id="sleepy"), state_store=mode.store)
    assert "reload_model=True" in failed(ended, exceptions.DreamboothRequestRefused)
    assert len(service.journal) == 1


def test_a_model_that_is_none_is_not_waited_for(dreambooth, mode):
    dreambooth()
    ended = run_task(generate(mode, model_id="no-such", reload_model=True), state_store=mode.store)
    assert "model_reload of no-such" in failed(ended, exceptions.DreamboothRequestRefused)


@pytest.mark.parametrize("wait", [True, False])
def test_reload_a_model(dreambooth, mode, wait):
    service = dreambooth(sleeping_models=("sleepy",), reload_time=0.2)
    ended = run_task(
        lambda: operators.DreamboothReloadModelOperator(
            task_id="wait",
            model_id="sleepy",
            wait_for_completion=wait,
            reload_seconds=0.3,
            deferrable=mode.deferrable,
        ),
        state_store=mode.store,
    )
    assert ended.error is None
    assert ended.result
    assert ended.deferred == (1 if wait and mode.deferrable else 0)
    if wait:
        assert run_task(generate(mode, model_id="sleepy"), state_store=mode.store).error is None
    assert sum("model_reload" in each.path for each in service.journal) == 1
