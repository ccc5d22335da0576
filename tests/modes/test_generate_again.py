# SPDX-License-Identifier: Apache-2.0
"""The next try of a task that generates: it goes on with what is paid, and pays anew only where it should."""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_dreambooth import exceptions
from airflow_provider_dreambooth.operators.remembered import KEY as RECORD
from airflow_provider_dreambooth.operators.submitting import track_id_of
from tests.client.wire import Wire, reply
from tests.modes.generating import KEY, MODES, generate, submits_of
from tests.modes.task_runner import Ended, StateStore, TaskInstance, run_task

WORKER = MODES["worker"]


class History:
    """One task instance over its tries, retries and clears; the store outlives them all, XCom does not."""

    def __init__(self, mode: Any) -> None:
        self.mode = mode
        self.store = StateStore()
        self.tries = self.max_tries = 0

    def run(self, **options: Any) -> Ended:
        """Make the next try, of itself."""
        self.tries += 1
        return run_task(
            generate(self.mode, **options),
            state_store=self.store,
            try_number=self.tries,
            max_tries=self.max_tries,
        )

    def clear(self) -> None:
        """Let the next try be one after a clear: Airflow then raises the number of tries allowed."""
        self.max_tries = self.tries


@pytest.fixture
def task(remembering) -> History:
    return History(remembering)


def error(ended: Ended, cls: type[BaseException]) -> str:
    assert type(ended.error) is cls, ended.error
    return str(ended.error)


# -- going on


@pytest.mark.parametrize("cleared", [False, True])
def test_the_next_try_goes_on_with_a_request_under_way(dreambooth, task, cleared, task_log):
    service = dreambooth(run_time=math.inf)
    first = task.run(timeout=0)
    error(first, exceptions.DreamboothTimeout)
    if cleared:
        task.clear()
    service.finish(first.xcoms["request_id"])
    second = task.run()
    assert second.error is None
    assert second.result["request_id"] == first.xcoms["request_id"] == second.xcoms["request_id"]
    assert second.result["meta"]["prompt"] == "a fox"
    assert (service.accepted(), len(service.submits)) == (1, 1)
    assert "was accepted by try 1: going on with it. Nothing is submitted or billed" in said(task_log)


def said(task_log) -> str:
    written = task_log()
    assert KEY not in written
    return written


def test_the_next_try_after_a_lost_worker_that_had_not_waited_yet(dreambooth, task):
    service = dreambooth()
    first = task.run(wait_for_completion=False)
    second = task.run()
    assert second.result["request_id"] == first.result["request_id"]
    assert second.result["status"] == "success"
    assert service.accepted() == 1


@pytest.mark.parametrize("wait", [True, False])
def test_a_cleared_task_that_had_finished_gives_the_same_again(dreambooth, task, wait):
    service = dreambooth()
    first = task.run()
    task.clear()
    second = task.run(wait_for_completion=wait)
    assert second.error is None
    assert second.result["output"] == first.result["output"]
    assert second.result["request_id"] == first.result["request_id"]
    assert service.accepted() == 1


@pytest.mark.parametrize(
    "fault", ["not_found", "job_failed", "success_empty_list", "http_503", "monthly_limit"]
)
def test_what_had_finished_is_not_generated_again_whatever_the_service_says_now(dreambooth, task, fault):
    """Old requests may be gone there. Only force_new, or other inputs, make a finished task pay again."""
    service = dreambooth()
    first = task.run()
    task.clear()
    service.script("fetch", f"{fault}*")
    second = task.run()
    assert second.error is None
    assert second.result["output"] == first.result["output"]
    assert service.accepted() == 1


def test_a_request_that_the_service_does_not_know_any_more(dreambooth, task):
    service = dreambooth(run_time=math.inf)
    first = task.run(timeout=0)
    task.store[RECORD]["at"] -= 3600
    service.script("fetch", "not_found*")
    told = error(task.run(), exceptions.DreamboothRequestNotFound)
    assert first.xcoms["request_id"] in told
    assert "force_new=True" in told
    assert service.accepted() == 1
    task.clear()
    assert task.run(force_new=True, wait_for_completion=False).error is None
    assert service.accepted() == 2


def test_a_request_just_submitted_may_not_be_known_yet(dreambooth, task):
    service = dreambooth()
    task.run(wait_for_completion=False)
    service.script("fetch", ["not_found"] * 2)
    assert task.run().result["status"] == "success"
    assert service.accepted() == 1


# -- anew


def test_a_cleared_task_generates_anew_with_force_new(dreambooth, task, task_log):
    service = dreambooth()
    first = task.run(force_new=True)
    task.clear()
    second = task.run(force_new=True)
    assert second.result["request_id"] != first.result["request_id"]
    assert service.accepted() == 2
    assert "force_new is set: submitting anew" in said(task_log)


@pytest.mark.parametrize("after_clear", [False, True])
def test_force_new_is_no_reason_for_a_retry_to_pay_again(dreambooth, task, after_clear):
    service = dreambooth(run_time=math.inf)
    task.run(force_new=True, timeout=0)
    if after_clear:
        task.clear()
        task.run(force_new=True, timeout=0)
    last = service.submits[-1].request_id
    service.finish(last)
    assert task.run(force_new=True).result["request_id"] == last
    assert service.accepted() == (2 if after_clear else 1)


@pytest.mark.parametrize("force_new", [False, "False", "no", "", "None", None])
def test_without_force_new(dreambooth, task, force_new):
    service = dreambooth()
    task.run()
    task.clear()
    assert task.run(force_new=force_new).error is None
    assert service.accepted() == 1


def test_other_inputs_are_another_picture(dreambooth, task, task_log):
    service = dreambooth()
    task.run()
    task.clear()
    second = task.run(prompt="an owl")
    assert second.result["meta"]["prompt"] == "an owl"
    assert service.accepted() == 2
    assert "The inputs have changed since try 1: submitting anew" in said(task_log)


def test_the_same_inputs_spelled_otherwise_are_the_same_picture(dreambooth, task):
    service = dreambooth()
    task.run(width=512, safety_checker=False)
    task.clear()
    task.run(width="512", safety_checker="no", webhook="https://hooks.example/a", negative_prompt="")
    assert service.accepted() == 1


def test_a_retry_after_a_failed_job_submits_anew(dreambooth, task):
    service = dreambooth()
    service.script("fetch", "job_failed")
    error(task.run(), exceptions.DreamboothGenerationFailed)
    second = task.run()
    assert second.result["request_id"] == service.submits[1].request_id
    assert service.accepted() == 2


def test_a_job_that_failed_while_nobody_waited(dreambooth, task, task_log):
    service = dreambooth(run_time=math.inf)
    task.run(wait_for_completion=False)
    service.script("fetch", "job_failed")
    assert task.run(wait_for_completion=False).error is None
    assert service.accepted() == 2
    assert "has failed (Failed, Try Again): submitting anew, which is billed anew" in said(task_log)


def test_a_retry_after_a_submit_that_failed(dreambooth, task):
    service = dreambooth()
    service.script("submit", "job_failed")
    error(task.run(), exceptions.DreamboothGenerationFailed)
    assert task.run().error is None
    assert service.accepted() == 1


@pytest.mark.parametrize(
    ("fault", "cls"),
    [
        ("queue_full_2025:30", exceptions.DreamboothRateLimited),
        ("monthly_limit", exceptions.DreamboothQuotaExceeded),
        ("model_not_found", exceptions.DreamboothRequestRefused),
    ],
)
def test_after_a_refusal_there_is_nothing_to_go_on_with(dreambooth, task, fault, cls):
    service = dreambooth()
    service.script("submit", fault)
    error(task.run(queue_timeout=0), cls)
    assert RECORD not in task.store
    assert task.run().error is None
    assert service.accepted() == 1


@pytest.mark.parametrize("change", [{"force_new": True}, {"prompt": "an owl"}], ids=["force_new", "inputs"])
@pytest.mark.parametrize(
    ("submit_faults", "patience"),
    [
        (["monthly_limit"], 0),
        (["queue_full_2025:30"], 0),
        (["queue_full_2025:0.05", "queue_full_2025:0.05", "monthly_limit"], 60),
        (["model_not_found"], 0),  # and it cannot be loaded: the error comes between two attempts
    ],
    ids=["at once", "for load", "after other attempts", "between two attempts"],
)
def test_a_new_submit_that_is_refused_leaves_the_request_that_was_paid(
    dreambooth, task, hasty, submit_faults, patience, change
):
    service = dreambooth()
    first = task.run()
    task.clear()
    service.script("submit", submit_faults)
    service.script("model_reload", "model_not_found")
    ended = task.run(**change, queue_timeout=patience, reload_model=True)
    assert isinstance(ended.error, exceptions.DreamboothError)
    task.clear()
    second = task.run()
    assert second.error is None
    assert second.result["output"] == first.result["output"]
    assert service.accepted() == 1
    task.clear()
    assert task.run(**change).result["request_id"] != first.result["request_id"]
    assert service.accepted() == 2


def test_a_retry_of_a_new_submit_that_was_refused_submits_it(dreambooth, task):
    service = dreambooth()
    first = task.run()
    task.clear()
    service.script("submit", "queue_full_2025:30")
    error(task.run(force_new=True, queue_timeout=0), exceptions.DreamboothRateLimited)
    assert task.run(force_new=True).result["request_id"] != first.result["request_id"]
    assert service.accepted() == 2


def test_pictures_of_which_some_can_be_used_are_not_paid_again_unasked(service_of, task):
    wire = service_of({"status": "success", "id": 5, "output": ["https://a.example/1.png", "javascript:x"]})
    for _ in range(2):  # of itself, and when it is cleared
        ended = task.run()
        told = error(ended, exceptions.DreamboothJobFailed)
        assert "The links that can be used are in XCom 'failed'." in told
        assert ended.xcoms["failed"][0]["output"] == ["https://a.example/1.png"]
        task.clear()
    assert submits_of(wire) == 1
    task.run(force_new=True)
    assert submits_of(wire) == 2


NO_LINKS = ([], "", None, {}, {"0": "https://a.example/1.png"}, [1, 2], ["javascript:x", None], "no link")


@pytest.mark.parametrize("output", NO_LINKS, ids=repr)
def test_a_success_without_a_link_is_looked_at_again_not_paid_again(service_of, task, output):
    """It was billed. Each retry and clear looks again, as the links may come; only force_new pays anew."""
    wire = service_of({"status": "success", "id": 5, "output": output})
    for _ in range(3):  # of itself, a retry, and when it is cleared
        ended = task.run()
        told = error(ended, exceptions.DreamboothTransientError)
        for part in ("request 5: no output", "It was billed", "DreamboothFetchSensor", "force_new=True"):
            assert part in told
        assert ended.xcoms["failed"][0]["kind"] == "no_output"
        if task.tries == 2:
            task.clear()
    assert submits_of(wire) == 1
    task.clear()
    error(task.run(force_new=True), exceptions.DreamboothTransientError)
    assert submits_of(wire) == 2


def test_links_that_come_later_than_the_success(dreambooth, task):
    service = dreambooth()
    service.script("fetch", "success_empty_list")
    first = task.run()
    error(first, exceptions.DreamboothTransientError)
    second = task.run()
    assert second.error is None
    assert second.result["request_id"] == first.xcoms["request_id"]
    assert second.result["output"]
    assert service.accepted() == 1


# -- unknown


def test_what_is_unknown_stays_so_over_tries_and_clears(dreambooth, task):
    service = dreambooth()
    service.script("submit", "billed_then_drop")
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    for clear in (False, True, True):
        if clear:
            task.clear()
        told = error(task.run(), exceptions.DreamboothSubmitUnknown)
        assert "Try 1 sent its submit" in told
        assert service.submits[0].body["track_id"] in told
    assert len(service.submits) == 1


def test_the_user_may_say_that_what_is_unknown_is_submitted_again(dreambooth, task, task_log):
    service = dreambooth()
    service.script("submit", "billed_then_drop")
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    assert task.run(retry_unknown_submit=True).error is None
    assert service.accepted() == 2
    assert "it may be billed twice" in said(task_log)


@pytest.mark.parametrize("change", [{"force_new": True}, {"prompt": "an owl"}])
def test_the_ways_out_of_the_unknown(dreambooth, task, change):
    service = dreambooth()
    service.script("submit", "billed_then_drop")
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    task.clear()
    assert task.run(**change).error is None
    assert len(service.submits) == 2


def test_the_unknown_stays_so_if_a_new_submit_is_refused(dreambooth, task):
    service = dreambooth()
    service.script("submit", ["billed_then_drop", "monthly_limit"])
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    task.clear()
    error(task.run(force_new=True), exceptions.DreamboothQuotaExceeded)
    task.clear()
    assert "Try 1 sent its submit" in error(task.run(), exceptions.DreamboothSubmitUnknown)
    assert len(service.submits) == 2


def test_a_refusal_after_an_attempt_of_which_nobody_knows(dreambooth, task, hasty):
    """The user let it be repeated then; whether it is once more, is the user's word again."""
    service = dreambooth()
    service.script("submit", ["billed_then_drop", "monthly_limit"])
    error(task.run(retry_unknown_submit=True), exceptions.DreamboothQuotaExceeded)
    task.clear()
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    assert task.run(retry_unknown_submit=True).error is None
    assert len(service.submits) == 3


def test_killed_between_the_record_and_the_reply(dreambooth, task):
    """The record of a worker that died while it sent; from here on nobody can tell what happened."""
    service = dreambooth()
    task.run(wait_for_completion=False)
    task.store[RECORD] |= {"state": "sending", "accepted": None}
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    assert len(service.submits) == 1


def test_killed_between_a_refusal_and_the_next_attempt(dreambooth, task, hasty):
    service = dreambooth()
    task.run(wait_for_completion=False)
    attempts = {"began": 0.0, "seed": "x", "for_load": 3}
    task.store[RECORD] |= {"state": "refused", "accepted": None, "attempts": attempts}
    service.script("submit", "queue_full_2025:0.05")
    # A new try has its own patience: by the old one the queue_timeout would be over.
    assert task.run().error is None
    assert service.accepted() == 2


# -- the record


def test_the_record_holds_neither_key_nor_prompt_and_is_small(dreambooth, task):
    dreambooth()
    task.run(prompt="a secret fox")
    record = json.dumps(task.store)
    assert KEY not in record
    assert len(record) < 4000


@pytest.mark.parametrize(
    "record", [None, [], "text", {}, {"version": 2}, {"version": "1"}, {"version": 2, "state": "refused"}]
)
def test_a_record_of_another_release_is_left_alone(dreambooth, record):
    service = dreambooth()
    task = History(WORKER)
    task.store.set(RECORD, record)
    assert task.run().error is None
    assert service.accepted() == 1


def test_a_store_that_does_not_write(dreambooth, task_log, caplog):
    """What was accepted is not lost with it: the id is in the log and in XCom, and no retry pays again."""
    service = dreambooth()
    task = History(WORKER)

    class Full(StateStore):
        def set(self, key, value):
            if value["state"] == "accepted":
                raise OSError("no space left")
            super().set(key, value)

    task.store = Full()
    first = task.run()
    assert first.error is None
    assert f"Request {first.result['request_id']}: accepted" in said(task_log)
    assert f"Request {first.result['request_id']} could not be kept" in caplog.text
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    assert service.accepted() == 1


def test_a_store_that_failed_for_a_moment_learns_of_the_request_in_the_end(dreambooth):
    service = dreambooth()
    task = History(WORKER)

    class Blip(StateStore):
        failed = False

        def set(self, key, value):
            if value["state"] == "accepted" and not self.failed:
                self.failed = True
                raise OSError("no connection")
            super().set(key, value)

    task.store = Blip()
    first = task.run()
    second = task.run()
    assert second.error is None
    assert second.result["output"] == first.result["output"]
    assert service.accepted() == 1


class Stubborn(StateStore):
    """A store that takes no refusal, and removes nothing."""

    def set(self, key, value):
        if value["state"] == "refused":
            raise OSError("no connection to the store")
        super().set(key, value)

    def delete(self, key):
        raise OSError("no connection to the store")


@pytest.mark.parametrize(
    ("endpoint", "fault", "cls"),
    [
        ("submit", "monthly_limit", exceptions.DreamboothQuotaExceeded),
        ("submit", "queue_full_2025:30", exceptions.DreamboothRateLimited),
        ("submit", "job_failed", exceptions.DreamboothGenerationFailed),
        ("fetch", "job_failed", exceptions.DreamboothGenerationFailed),
    ],
)
def test_a_store_that_fails_hides_nothing_that_the_service_says(
    dreambooth, task, caplog, endpoint, fault, cls
):
    service = dreambooth()
    service.script(endpoint, fault)
    task.store = Stubborn()
    error(task.run(queue_timeout=0), cls)
    assert "could not be removed from the task state store" in caplog.text
    assert "OSError: no connection to the store" in caplog.text


def test_a_store_that_takes_no_refusal_ends_no_wait_for_room(dreambooth, task, hasty, caplog):
    """Were the task to start anew for the next attempt, it would not know that this one was refused."""
    service = dreambooth()
    service.script("submit", ["queue_full_2025:0.05"] * 2)
    task.store = Stubborn()
    assert task.run().error is None
    assert (service.accepted(), len(service.submits)) == (1, 3)
    assert "OSError: no connection to the store" in caplog.text


def test_two_tries_at_the_same_time(dreambooth):
    """Airflow gave up the first, which goes on all the same while it waits for room."""
    service = dreambooth()
    service.script("submit", "queue_full_2025:0.3")
    task = History(WORKER)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(task.run)
        while task.store.get(RECORD, {}).get("state") != "refused":
            time.sleep(0.01)
        second = task.run()
    assert first.result().error is second.error is None
    assert first.result().result["request_id"] == second.result["request_id"]
    assert service.accepted() == 1


def test_an_event_that_comes_twice(dreambooth):
    """The pause is over, and Airflow starts the task again, and again."""
    service = dreambooth()
    context = {"ti": TaskInstance(), "task_state_store": StateStore()}
    event = {"version": 1, "state": {"began": time.time(), "seed": "x", "for_load": 1}}
    first, second = (
        generate(MODES["deferrable"], wait_for_completion=False)().submit_again(context, event)
        for _ in range(2)
    )
    assert second["request_id"] == first["request_id"]
    assert service.accepted() == 1


def test_a_connection_that_is_broken_just_after_its_key_was_refused(dreambooth, monkeypatch):
    """The refusal is known, so nothing is unknown, and a try with a good connection submits."""

    def refuse(connection):
        wire.read(connection)
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", json.dumps({**account, "password": ""}))
        connection.sendall(reply(b'{"status": "error", "message": "Invalid Api Key"}', status="401 No"))

    task = History(WORKER)
    with Wire(refuse) as wire:
        account = {"conn_type": "dreambooth", "host": wire.url, "password": KEY}
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", json.dumps(account))
        error(task.run(), exceptions.DreamboothConnectionError)
    assert RECORD not in task.store
    service = dreambooth()
    assert task.run().error is None
    assert service.accepted() == 1


def test_a_store_that_never_writes_sends_nothing(dreambooth):
    service = dreambooth()

    class Broken(StateStore):
        def set(self, key, value):
            raise OSError("no connection")

    ended = run_task(generate(WORKER), state_store=Broken())
    error(ended, OSError)
    assert service.submits == []


# -- track_id


def test_the_track_id_names_the_try(dreambooth, mode):
    service = dreambooth(run_time=math.inf)
    seen = []
    for try_number in (1, 1, 2):
        run_task(generate(mode, wait_for_completion=False), state_store=mode.store, try_number=try_number)
        seen.append(service.submits[-1].body["track_id"])
    assert seen[0] == seen[1] == track_id_of({"ti": TaskInstance()})
    assert seen[2] != seen[0]
    assert all(len(each) == 32 and set(each) <= set("0123456789abcdef") for each in seen)


def test_the_track_id_is_the_same_for_each_attempt_of_a_try(dreambooth, mode, hasty):
    service = dreambooth()
    service.script("submit", ["queue_full_2025:0.05"] * 2)
    run_task(generate(mode), state_store=mode.store)
    assert len(service.submits) == 3
    assert len({each.body["track_id"] for each in service.submits}) == 1


def test_no_two_task_instances_share_a_track_id():
    places = [
        TaskInstance(dag_id="a"),
        TaskInstance(dag_id="b"),
        TaskInstance(task_id="other"),
        TaskInstance(run_id="other"),
        *(TaskInstance(map_index=index) for index in range(20)),
    ]
    assert len({track_id_of({"ti": each}) for each in places}) == len(places)


def test_a_track_id_of_ones_own(dreambooth, mode):
    service = dreambooth()
    run_task(generate(mode, track_id="mine"), state_store=mode.store)
    assert service.submits[0].body["track_id"] == "mine"
