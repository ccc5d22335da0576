# SPDX-License-Identifier: Apache-2.0
"""Queue, keys, etas and the journal."""

from __future__ import annotations

import math
import time

import pytest

from airflow_provider_dreambooth.sandbox import Sandbox

ORDER = {"prompt": "a portrait", "model_id": "flux"}


@pytest.fixture
def started(request, client_of):
    with Sandbox(**request.param) as sandbox:
        yield sandbox, client_of(sandbox.url)


def with_settings(**settings):
    return pytest.mark.parametrize("started", [settings], indirect=True)


@with_settings(max_parallel=2, run_time=100)
def test_jobs_wait_their_turn(started):
    _, client = started
    etas = [client.post("v4/dreambooth", **ORDER).json()["eta"] for _ in range(5)]
    assert etas == pytest.approx([100, 100, 200, 200, 300], abs=5)


@with_settings(max_queued=2, run_time=100)
def test_a_full_queue(started, payload):
    sandbox, client = started
    replies = [client.post("v4/dreambooth", **ORDER).json() for _ in range(3)]
    full = payload("error_queue_full_2025")
    full["message"] = full["message"].replace("5", "2")
    assert replies[2] == full
    sandbox.finish(replies[0]["id"])
    assert client.post("v4/dreambooth", **ORDER).json()["status"] == "processing"
    assert sandbox.accepted() == 3


@with_settings(run_time=100, eta_error=3, speed=10)
def test_wrong_etas_and_faster_time(started):
    sandbox, client = started
    assert client.post("v4/dreambooth", **ORDER).json()["eta"] == pytest.approx(30, abs=1)
    told = client.session.post(
        f"{sandbox.url}/sandbox/requests", json={"ready_in": 3600, "eta": 2.5}, timeout=10
    )
    assert told.json()["eta"] == 0.25


@with_settings(any_id=True, run_time=(0.0, 0.0))
def test_any_id_begins_at_its_first_fetch(started):
    sandbox, client = started
    assert client.fetch(4711).json()["status"] == "success"
    assert client.post("v3/dreambooth/fetch/4712").json()["id"] == 4712
    assert client.get(client.links(4711)[0]).status_code == 200
    assert sandbox.fetches("4711") == 2


@with_settings(spam_filter=True)
def test_the_spam_filter(started, payload):
    _, client = started
    replies = [client.post("v4/dreambooth", **ORDER, track_id=track).json() for track in (1, 1, 2)]
    assert [reply["status"] for reply in replies] == ["processing", "error", "processing"]
    assert replies[1] == payload("error_rate_limit_2023")


@with_settings(key=("one", "two"), spam_filter=True)
def test_a_duplicate_is_of_one_account_and_one_path(started):
    _, client = started
    same = {**ORDER, "init_image": "https://x/y.png"}
    for client.key in ("one", "two"):
        for path in ("v4/dreambooth", "v4/dreambooth/img2img"):
            statuses = [client.post(path, **same).json()["status"] for _ in range(2)]
            assert statuses == ["processing", "error"]


@with_settings(spam_filter=True, spam_seconds=0)
def test_a_duplicate_after_its_time(started):
    sandbox, client = started
    assert {client.post("v4/dreambooth", **ORDER).json()["status"] for _ in range(2)} == {"processing"}
    assert sandbox.accepted() == 2


@with_settings(max_queued=1, queue_retry_after=0.5, run_time=100, spam_filter=True)
def test_how_long_to_wait_for_the_queue_can_be_short(started):
    sandbox, client = started
    replies = [client.post("v4/dreambooth", **ORDER, track_id=track).json() for track in (1, 2)]
    assert replies[1]["retry_after"] == 0.5
    sandbox.finish(replies[0]["id"])
    # Refused by the queue, it was no duplicate: the same may come again.
    assert client.post("v4/dreambooth", **ORDER, track_id=2).json()["status"] == "processing"


@with_settings(key=("one", "two"), plan_limit=2)
def test_the_limit_of_the_plan(started, payload):
    sandbox, client = started
    for client.key in ("one", "two"):
        replies = [client.post("v4/dreambooth", **ORDER).json() for _ in range(3)]
        assert [reply["status"] for reply in replies] == ["processing", "processing", "error"]
        assert replies[2] == payload("error_monthly_limit")
    assert sandbox.accepted() == 4


@pytest.mark.parametrize("name", ["reload_time", "queue_retry_after", "spam_seconds"])
def test_no_time_is_below_zero(name):
    with pytest.raises(ValueError, match=name):
        Sandbox(**{name: -1})


@with_settings(key=("one", "two"), wrong_key_http=401)
def test_keys(started):
    sandbox, client = started
    request_id = sandbox.add()
    statuses = []
    for client.key in ("one", "two", "three"):
        statuses.append(client.fetch(request_id).status_code)
        client.post("v4/dreambooth", **ORDER)
    client.post("v4/dreambooth", **{**ORDER, "key": "one"})
    assert statuses == [200, 200, 401]
    assert (sandbox.accepted("one"), sandbox.accepted("two"), sandbox.accepted()) == (2, 1, 3)
    sandbox.set_key("three")
    assert client.fetch(request_id).json()["status"] == "success"
    with pytest.raises(ValueError, match="non-empty"):
        sandbox.set_key("")


def test_ids_are_one_number_space(sandbox, client):
    paths = ["v3/dreambooth", "v4/dreambooth", "v6/images/text2img"]
    first, second, third = (client.post(path, **ORDER).json()["id"] for path in paths)
    assert (second, third) == (first + 1, first + 2)
    assert sandbox.add() == str(first + 3)
    assert sandbox.add(request_id=5) == "5"
    with pytest.raises(ValueError, match="exists already"):
        sandbox.add(request_id="5")


def test_next_free_id_steps_over_those_taken():
    sandbox = Sandbox(first_id=1)
    assert [sandbox.add(request_id=1), sandbox.add(), sandbox.add()] == ["1", "2", "3"]


def test_a_job_that_waits_for_the_test(sandbox, client):
    request_id = sandbox.add(ready_in=math.inf)
    assert client.fetch(request_id).json()["status"] == "processing"
    assert client.post("v3/system_load").json()["queue_time"] == 60
    sandbox.finish(request_id)
    assert client.fetch(request_id).json()["status"] == "success"


@pytest.mark.parametrize(
    "wishes", [{"promt": "x"}, {"format": "gif"}, {"samples": 0}, {"ready_in": -1}, {"request_id": ""}]
)
def test_a_wish_that_cannot_be(sandbox, wishes):
    with pytest.raises(ValueError, match=r"\w"):
        sandbox.add(**wishes)


def test_the_journal_has_everything_but_the_key(sandbox, client):
    client.fetch(7)
    client.key = "canary-key"
    client.fetch(sandbox.add())
    client.post("v3/dreambooth/fetch/8?key=canary-key")
    client.get(f"{sandbox.url}/nothing?key=canary-key")
    told = [(r.method, r.path, r.request_id, r.key_ok, r.answered_as, r.http) for r in sandbox.journal]
    assert told == [
        ("POST", "/api/v4/dreambooth/fetch", "7", True, "not_found", 200),
        ("POST", "/api/v4/dreambooth/fetch", "13443927", False, "invalid_key", 200),
        ("POST", "/api/v3/dreambooth/fetch/8", "8", False, "invalid_key", 200),
        ("GET", "/nothing", None, None, "route_not_found", 404),
    ]
    assert "-key" not in repr(sandbox.journal)
    assert {record.remote_port for record in sandbox.journal} != {0}
    assert sandbox.connections == 1


def test_control_over_http(sandbox, client, payload):
    def control(name, body):
        return client.session.post(f"{sandbox.url}/sandbox/{name}", json=body, timeout=10)

    added = control("requests", {"prompt": "a red fox", "ready_in": 3600, "replies": ["http_500"]}).json()
    assert added == {"request_id": "13443927", "eta": pytest.approx(3600, abs=5)}
    assert control("script", {"endpoint": "fetch", "replies": ["http_503"]}).ok
    assert [client.fetch(added["request_id"]).status_code for _ in range(3)] == [503, 500, 200]
    assert control("key", {"key": "new-key"}).ok
    assert client.fetch(added["request_id"]).json() == payload("error_invalid_api_key")
    seen = client.get(f"{sandbox.url}/sandbox/requests/{added['request_id']}").json()
    assert seen == {
        "request_id": "13443927",
        "ready": False,
        "ready_at": pytest.approx(time.time() + 3600, abs=60),
        "fetches": 4,
        "picture_requests": [0],
    }
    endless = sandbox.add(ready_in=math.inf)
    assert client.get(f"{sandbox.url}/sandbox/requests/{endless}").json()["ready_at"] is None
    assert control("finish", {"request_ids": [endless]}).ok
    assert client.get(f"{sandbox.url}/sandbox/requests/{endless}").json()["ready"] is True
    journal = client.get(f"{sandbox.url}/sandbox/journal").json()
    assert [record["answered_as"] for record in journal] == [
        "http_503",
        "http_500",
        "processing",
        "invalid_key",
    ]
    for name, body in [
        ("requests", {"promt": "x"}),
        ("requests", []),
        ("script", {}),
        ("key", {"key": 3}),
        ("key", {"key": ""}),
        ("finish", {"request_ids": ["nobody's"]}),
    ]:
        refused = control(name, body)
        assert (refused.status_code, bool(refused.json()["error"])) == (400, True)
    assert client.get(f"{sandbox.url}/sandbox/requests/99").status_code == 404
