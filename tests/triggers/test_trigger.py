# SPDX-License-Identifier: Apache-2.0
"""The trigger, as the triggerer runs it: many in one event loop, killed and re-created at any time."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest

from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.request_ids import parse_request_ids
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.sandbox import Sandbox
from airflow_provider_dreambooth.triggers.dreambooth import DreamboothFetchTrigger
from tests.modes.task_runner import only_event, through_json
from tests.triggers.counting_backend import CountingBackend

KEY = "sandbox-key"


@pytest.fixture
def service(monkeypatch):
    with Sandbox(key=KEY) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", sandbox.connection_json)
        yield sandbox


def batch_of(ids, *, timeout=60.0, poke_interval=0.1, began=None, **policy):
    began = time.time() if began is None else began
    return Batch(
        parse_request_ids(ids).requests,
        began=began,
        deadline=began + timeout,
        policy=PollPolicy(poke_interval=poke_interval, **policy),
    ).to_dict()


def verdicts(event):
    return {rid: verdict["outcome"] for rid, verdict in event["batch"]["verdicts"].items()}


def test_arguments_survive_the_database_and_a_new_release():
    trigger = DreamboothFetchTrigger("conn", batch_of(["1"]))
    classpath, kwargs = trigger.serialize()
    assert classpath == "airflow_provider_dreambooth.triggers.dreambooth.DreamboothFetchTrigger"
    again = DreamboothFetchTrigger(**through_json(kwargs))
    assert again.serialize() == (classpath, kwargs)
    assert DreamboothFetchTrigger(**kwargs, an_argument_of_a_later_release=1).serialize() == (
        classpath,
        kwargs,
    )


def test_no_argument_can_raise_in_init():
    for batch in (None, {}, {"version": 99}, "nonsense", 5):
        DreamboothFetchTrigger(dreambooth_conn_id="", batch=batch)


@pytest.mark.parametrize("batch", [None, {}, {"version": 99}, {"version": 1, "waiting": 5}, "nonsense"])
async def test_arguments_that_cannot_be_read_end_in_a_clear_event(batch):
    event = await only_event(DreamboothFetchTrigger(batch=batch))
    assert event["error"]["kind"] == "unexpected"
    assert event["error"]["message"]


async def test_a_batch_of_another_format_says_what_to_do():
    event = await only_event(DreamboothFetchTrigger(batch={**batch_of(["1"]), "version": 2}))
    assert "run the same airflow-provider-dreambooth" in event["error"]["message"]


async def test_started_again_after_the_deadline_a_ready_picture_still_wins(service):
    ready, unready = service.add(prompt="ready"), service.add(prompt="not", ready_in=3600)
    long_ago = batch_of([ready, unready], began=time.time() - 7200, timeout=3600)

    event = await only_event(DreamboothFetchTrigger(batch=long_ago))

    assert verdicts(event) == {ready: "Ready", unready: "TimedOut"}
    assert [service.fetches(rid) for rid in (ready, unready)] == [1, 1]


async def test_killed_and_started_again_it_goes_on_with_the_same_deadline(service):
    request_id = service.add(prompt="a fox", ready_in=3600)
    kwargs = through_json(DreamboothFetchTrigger(batch=batch_of([request_id], timeout=1.0)).serialize()[1])
    began = time.time()

    first = asyncio.create_task(only_event(DreamboothFetchTrigger(**kwargs)))
    await asyncio.sleep(0.5)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    event = await only_event(DreamboothFetchTrigger(**kwargs))

    assert verdicts(event) == {request_id: "TimedOut"}
    assert event["batch"]["deadline"] == pytest.approx(began + 1.0, abs=0.2)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_one_killed_trigger_hurts_no_other(service):
    ids = [service.add(prompt=str(n), ready_in=0.6) for n in range(20)]
    tasks = [asyncio.create_task(only_event(DreamboothFetchTrigger(batch=batch_of([rid])))) for rid in ids]
    await asyncio.sleep(0.25)
    for task in tasks[::2]:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(one, asyncio.CancelledError) for one in ended[::2])
    assert [verdicts(one) for one in ended[1::2]] == [{rid: "Ready"} for rid in ids[1::2]]


async def test_a_thousand_triggers_share_ten_sockets_and_one_look_up(service, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"{CountingBackend.__module__}.CountingBackend")
    monkeypatch.setenv("CONNECTION_OF_THE_BACKEND", service.connection_json)
    monkeypatch.delenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT")
    CountingBackend.asked.clear()
    ids = [service.add(prompt="many", ready_in=0.5) for _ in range(1000)]

    events = await asyncio.gather(
        *(
            only_event(DreamboothFetchTrigger("of_the_backend", batch_of([rid], poke_interval=1)))
            for rid in ids
        )
    )

    assert all(verdicts(event) == {rid: "Ready"} for event, rid in zip(events, ids, strict=True))
    assert service.connections <= 10
    assert CountingBackend.asked == ["of_the_backend"]
    assert DreamboothHook("of_the_backend").get_conn().config.base_url == service.url


async def test_a_wrong_key_is_looked_up_once_more_for_all_of_them(service, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"{CountingBackend.__module__}.CountingBackend")
    monkeypatch.setenv("CONNECTION_OF_THE_BACKEND", service.connection_json.replace(KEY, "wrong-key"))
    CountingBackend.asked.clear()

    events = await asyncio.gather(
        *(only_event(DreamboothFetchTrigger("wrong_in_the_backend", batch_of([n]))) for n in range(1, 201))
    )

    assert {verdict["kind"] for event in events for verdict in event["batch"]["verdicts"].values()} == {
        "key_refused"
    }
    assert len(service.journal) == 200
    assert len(CountingBackend.asked) == 2
    assert "wrong-key" not in json.dumps(events)


@pytest.mark.parametrize(
    "fault", ["http_401", "http_403", "http_429:0", "http_500", "html_200", "drop", "cut", "not_json"]
)
async def test_an_error_after_deferral_never_makes_a_hot_loop(service, fault):
    request_id = service.add(prompt="x", replies=("processing", *(fault,) * 1000))

    await only_event(
        DreamboothFetchTrigger(batch=batch_of([request_id], timeout=2.0, max_consecutive_failures=None))
    )

    # One look each 0.09 seconds is the most that the policy allows; then there is the look at the deadline.
    assert service.fetches(request_id) <= 2.0 / 0.09 + 2


async def test_a_rate_limit_holds_the_whole_batch(service):
    ids = [service.add(prompt=str(n), replies=("processing",)) for n in range(30)]
    service.script("fetch", ["http_429:1"])

    event = await only_event(DreamboothFetchTrigger(batch=batch_of(ids)))

    assert set(verdicts(event).values()) == {"Ready"}
    times = [record.time for record in service.journal]
    assert len(times) > 30
    assert not [when for when in times if 0.3 < when - times[0] < 0.9]


async def test_requests_per_second_is_kept_by_all_triggers_together(service, monkeypatch):
    connection = {**json.loads(service.connection_json), "extra": {"requests_per_second": 20}}
    monkeypatch.setenv("AIRFLOW_CONN_SLOWLY", json.dumps(connection))
    ids = [service.add(prompt=str(n)) for n in range(21)]

    await asyncio.gather(*(only_event(DreamboothFetchTrigger("slowly", batch_of([rid]))) for rid in ids))

    times = [record.time for record in service.journal]
    assert max(times) - min(times) > 0.9


async def test_many_ids_in_one_trigger_are_asked_for_max_connections_at_a_time(service, monkeypatch):
    connection = {**json.loads(service.connection_json), "extra": {"max_connections": 3}}
    monkeypatch.setenv("AIRFLOW_CONN_NARROW", json.dumps(connection))
    ids = [service.add(prompt=str(n), replies=("delay:0.05",)) for n in range(12)]

    event = await only_event(DreamboothFetchTrigger("narrow", batch_of(ids)))

    assert set(verdicts(event).values()) == {"Ready"}
    assert service.connections <= 3


async def test_the_log_tells_changes_not_polls(service, caplog):
    request_id = service.add(prompt="x", replies=("processing",) * 8)
    with caplog.at_level(logging.INFO):
        await only_event(DreamboothFetchTrigger(batch=batch_of([request_id])))
    assert service.fetches(request_id) == 9
    assert len([r for r in caplog.records if "ready" in r.getMessage()]) <= 2


async def test_many_triggers_share_the_look_up_of_a_connection_that_cannot_be_used(monkeypatch):
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"{CountingBackend.__module__}.CountingBackend")
    monkeypatch.setenv("CONNECTION_OF_THE_BACKEND", json.dumps({"conn_type": "dreambooth"}))
    CountingBackend.asked.clear()
    events = await asyncio.gather(
        *(only_event(DreamboothFetchTrigger("keyless", batch_of([n]))) for n in range(1, 51))
    )
    assert {event["error"]["kind"] for event in events} == {"connection"}
    assert CountingBackend.asked == ["keyless"]


@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_a_proxy_from_the_environment_is_used(service, monkeypatch, scheme):
    connection = {**json.loads(service.connection_json), "host": "http://service.invalid"}
    monkeypatch.setenv("AIRFLOW_CONN_BEHIND_A_PROXY", json.dumps(connection))
    monkeypatch.setenv("http_proxy", service.url.replace("http://", scheme))
    request_id = service.add(prompt="x")
    event = await only_event(DreamboothFetchTrigger("behind_a_proxy", batch_of([request_id])))
    assert verdicts(event) == {request_id: "Ready"}


async def test_the_password_of_a_proxy_stays_where_it_is(service, monkeypatch):
    connection = {**json.loads(service.connection_json), "host": "http://service.invalid"}
    monkeypatch.setenv("AIRFLOW_CONN_BEHIND_A_PROXY", json.dumps(connection))
    for proxy in (
        "user:PROXYSECRET@127.0.0.1:1",
        "socks5://user:PROXYSECRET@127.0.0.1:1",
        "http://PROXYSECRET:x@[",
    ):
        monkeypatch.setenv("http_proxy", proxy)
        policy = {"max_consecutive_failures": 1}
        event = await only_event(DreamboothFetchTrigger("behind_a_proxy", batch_of(["1"], **policy)))
        assert "PROXYSECRET" not in json.dumps(event)


async def test_a_wait_begun_by_an_earlier_release_is_read():
    """The document as release 0.1.0 stores it: this literal stays as it is for ever."""
    stored = {
        "version": 1,
        "began": 1795374659.5,
        "deadline": 1795374679.5,
        "held_until": 1795374659.5,
        "policy": {
            "poke_interval": 0.3,
            "exponential_backoff": False,
            "max_wait": None,
            "not_found_grace": 30.0,
            "max_consecutive_failures": 10,
        },
        "waiting": [["13443927", 1795374660.5, 2, 1, 0]],
        "verdicts": {
            "13443928": {"outcome": "Ready", "output": ["https://pictures.example/0.png"]},
            "13443929": {"outcome": "Failed", "kind": "job_failed", "message": "Failed, Try Again"},
        },
    }
    batch = Batch.from_dict(DreamboothFetchTrigger("conn", stored, added_later=1).serialize()[1]["batch"])
    assert batch.to_dict() == stored
    assert batch.request_ids == {"13443927", "13443928", "13443929"}
    shorter = {**stored, "waiting": [["13443927", 1795374660.5, 2, 1]]}
    assert Batch.from_dict(shorter).to_dict() == stored


async def test_a_deleted_connection_ends_in_an_event_that_names_it():
    event = await only_event(DreamboothFetchTrigger("deleted", batch_of(["1"])))
    assert event["error"]["kind"] == "connection"
    assert "'deleted' is not defined" in event["error"]["message"]


def test_each_event_loop_has_a_session_of_its_own(service):
    for _ in range(3):
        request_id = service.add(prompt="x")
        event = asyncio.run(only_event(DreamboothFetchTrigger(batch=batch_of([request_id]))))
        assert verdicts(event) == {request_id: "Ready"}
