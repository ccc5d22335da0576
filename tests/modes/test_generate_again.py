# SPDX-License-Identifier: Apache-2.0
"""The next try of a task that generates: it goes on with what is paid, and pays anew only where it should."""

from __future__ import annotations

import math

import pytest

from airflow_provider_dreambooth import exceptions
from airflow_provider_dreambooth.operators.remembered import KEY as RECORD
from tests.modes.generating import error, said, submits_of

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
        assert (
            "billed. A clear of this task looks at the same request again" in told
        )  # Airflow retries it not
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
        for part in (
            "request 5: no output",
            "It was billed. A retry or a clear",
            "DreamboothFetchSensor",
            "force_new=True",
        ):
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


@pytest.mark.parametrize("how", ["moved", "asked again and moved"])
def test_a_refusal_for_load_does_not_hide_that_an_earlier_attempt_may_have_been_accepted(
    dreambooth, task, hasty, how
):
    """Lost, repeated on the user's word, refused for load; and then the worker of the waiting task dies."""
    service = dreambooth()
    service.script("submit", ["billed_then_drop", "queue_full_2025:0.05", "monthly_limit"])
    error(task.run(retry_unknown_submit=True, queue_timeout=60), exceptions.DreamboothQuotaExceeded)
    task.store[RECORD] |= {"state": "refused", "attempts": {"began": 0.0, "unknown": 1}}
    if how == "asked again and moved":
        service.script("submit", "monthly_limit")
        refused = task.run(retry_unknown_submit=True)
        assert "an earlier one may have been" in error(refused, exceptions.DreamboothQuotaExceeded)
    task.clear()
    before = len(service.submits)
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    assert len(service.submits) == before


@pytest.mark.parametrize("change", [{"force_new": True}, {"prompt": "an owl"}], ids=["force_new", "inputs"])
def test_a_new_submit_that_is_refused_leaves_the_doubt_of_one_refused_for_load(dreambooth, task, change):
    service = dreambooth()
    service.script("submit", "billed_then_drop")
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    task.store[RECORD] |= {"state": "refused", "attempts": {"began": 0.0, "unknown": 1}}
    task.clear()
    service.script("submit", "monthly_limit")
    error(task.run(**change), exceptions.DreamboothQuotaExceeded)
    task.clear()
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    assert len(service.submits) == 2


def test_the_record_does_not_grow_while_a_task_in_doubt_waits_for_room(dreambooth, task, hasty):
    service = dreambooth()
    service.script("submit", ["billed_then_drop", *["queue_full_2025:0.05"] * 4, "monthly_limit"])
    error(task.run(retry_unknown_submit=True, queue_timeout=60), exceptions.DreamboothQuotaExceeded)
    assert len(service.submits) == 6
    record = task.store[RECORD]
    assert record["state"] == "sending"
    assert not (record["former"] or {}).get("former")


def test_a_refusal_after_a_try_of_which_nobody_knows_tells_that_it_may_have_been_billed(dreambooth, task):
    service = dreambooth()
    service.script("submit", ["billed_then_drop", "monthly_limit"])
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    told = error(task.run(retry_unknown_submit=True), exceptions.DreamboothQuotaExceeded)
    assert "Nothing was billed for this attempt; an earlier one may have been" in told
    error(task.run(), exceptions.DreamboothSubmitUnknown)
    assert len(service.submits) == 2


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
