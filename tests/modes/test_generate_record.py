# SPDX-License-Identifier: Apache-2.0
"""What a task keeps of its submit over tries: the record, a store that fails, and the track_id."""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_dreambooth import exceptions
from airflow_provider_dreambooth.operators.remembered import KEY as RECORD
from airflow_provider_dreambooth.operators.submitting import track_id_of
from tests.airflow_versions import needs_airflow
from tests.client.wire import Wire, reply
from tests.modes.generating import KEY, MODES, History, error, generate, said
from tests.modes.task_runner import StateStore, TaskInstance, run_task

WORKER = MODES["worker"]
IN_A_THREAD = needs_airflow(3, 0, "before that an operator is executed in the main thread only")


# -- the record


def test_the_record_holds_neither_key_nor_prompt_and_is_small(dreambooth, task):
    dreambooth()
    task.run(prompt="a secret fox")
    record = json.dumps(task.store)
    assert KEY not in record
    assert len(record) < 4000


@pytest.mark.parametrize("place", ["track_id", "extra_parameters"])
def test_a_key_typed_into_track_id_is_neither_in_the_record_nor_in_a_later_error(dreambooth, task, place):
    service = dreambooth()
    service.script("submit", "billed_then_drop")
    given = {"track_id": KEY} if place == "track_id" else {"extra_parameters": {"track_id": KEY}}
    error(task.run(**given), exceptions.DreamboothSubmitUnknown)
    assert KEY not in json.dumps(task.store)
    told = error(task.run(**given), exceptions.DreamboothSubmitUnknown)
    assert "Try 1 sent its submit" in told
    assert "(track_id ***)" in told
    assert KEY not in told


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


@IN_A_THREAD
def test_two_tries_at_the_same_time(dreambooth):
    """Airflow gave up the first, which goes on all the same while it waits for room."""
    service = dreambooth()
    service.script("submit", "queue_full_2025:0.3")
    task = History(WORKER)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(task.run)
        while not first.done() and task.store.get(RECORD, {}).get("state") != "refused":
            time.sleep(0.01)
        second = task.run()
    assert first.result().error is second.error is None
    assert first.result().result["request_id"] == second.result["request_id"]
    assert service.accepted() == 1


@IN_A_THREAD
@pytest.mark.parametrize("ending", ["finished", "failed"])
def test_a_try_that_airflow_gave_up_leaves_the_record_of_the_next_one(dreambooth, ending):
    """It goes on waiting for its own request, while the task was cleared and has submitted another."""
    service = dreambooth(run_time=math.inf)
    task = History(WORKER)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(task.run)
        while not first.done() and task.store.get(RECORD, {}).get("state") != "accepted":
            time.sleep(0.01)
        task.clear()
        second = task.run(force_new=True, wait_for_completion=False)
        if ending == "finished":
            service.finish(service.submits[0].request_id)
        else:
            service.script("fetch", "job_failed")
    assert task.store[RECORD]["accepted"]["request_id"] == second.result["request_id"]


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
