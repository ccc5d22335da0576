# SPDX-License-Identifier: Apache-2.0
"""What is billed: submits that are accepted, whatever becomes of their answer; and what they said."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_provider_dreambooth.sandbox import Sandbox

ORDER = {"prompt": "a portrait", "model_id": "flux", "track_id": "dag-task-1"}


def asked(client, name):
    return client.get(f"{client.url}/sandbox/{name}").json()


@pytest.mark.parametrize("fault", ["drop", "hang:0.01", "http_500", "html_200", "not_json", "validation"])
def test_not_billed(sandbox, client, fault):
    sandbox.script("submit", fault)
    try:
        client.post("v4/dreambooth", **ORDER)
    except requests.ConnectionError:
        assert fault in ("drop", "hang:0.01")
    assert sandbox.accepted() == asked(client, "billing")["accepted"] == 0
    assert [submit.request_id for submit in sandbox.submits] == [None]


@pytest.mark.parametrize("fault", ["billed_then_drop", "lost", "billed_then_hang:0.01", "cut"])
def test_billed_without_an_answer(sandbox, client, fault):
    sandbox.script("submit", fault)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.post("v4/dreambooth", **ORDER)
    assert sandbox.accepted() == 1
    (submit,) = sandbox.submits
    assert submit.reply == fault.partition(":")[0]
    assert client.fetch(submit.request_id).json()["status"] == "processing"


def test_billed_with_an_answer_that_says_nothing(sandbox, client):
    sandbox.script(
        "submit", ["billed_then_500", {"fault": "billed_then_500", "http": 502}, "billed_then_garbage"]
    )
    replies = [client.post("v4/dreambooth", **ORDER) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [500, 502, 200]
    assert replies[0].text.startswith("<html>")
    with pytest.raises(requests.JSONDecodeError):
        replies[2].json()
    assert sandbox.accepted() == 3


def test_what_is_refused_is_not_billed_whatever_follows(sandbox, client):
    sandbox.script("submit", "billed_then_500")
    assert client.post("v4/dreambooth", prompt="").status_code == 500
    assert sandbox.accepted() == 0


def test_what_hangs_ends_when_the_test_says_so(sandbox, client, client_of):
    sandbox.script("submit", ["hang", "billed_then_hang"])
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(client_of(sandbox.url).post, "v4/dreambooth", **ORDER) for _ in range(2)]
        while sandbox.hanging < 2:
            assert asked(client, "billing")["accepted"] <= 1
        assert asked(client, "hanging") == {"hanging": 2}
        assert client.session.post(f"{client.url}/sandbox/release", json={}, timeout=10).json() == {
            "released": 2
        }
        assert all(isinstance(future.exception(), requests.ConnectionError) for future in waiting)
    assert sandbox.accepted() == 1
    assert sandbox.release() == 0


def test_what_hangs_ends_when_the_client_leaves(sandbox, client):
    sandbox.script("submit", "billed_then_hang")
    with pytest.raises(requests.ReadTimeout):
        client.session.post(f"{client.url}/api/v4/dreambooth", json={**ORDER, "key": client.key}, timeout=0.2)
    while sandbox.hanging:
        asked(client, "billing")
    assert sandbox.accepted() == 1


def test_the_bill_of_each_account(client_of):
    with Sandbox(key=("first-key", "second-key", "third-key"), run_time=60) as sandbox:
        for key in ("first-key", "first-key", "third-key", "canary-key"):
            client_of(sandbox.url, key).post("v4/dreambooth", **ORDER)
        client = client_of(sandbox.url)
        assert asked(client, "billing") == {"accepted": 3, "accounts": {"0": 2, "1": 0, "2": 1}}
        assert [submit.account for submit in sandbox.submits] == [0, 0, 2, None]
        told = repr(asked(client, "submits")) + repr(sandbox.submits) + repr(asked(client, "billing"))
        assert "-key" not in told


def test_what_was_sent_can_be_read(sandbox, client):
    paths = ["v4/dreambooth", "v4/dreambooth/img2img", "v6/images/text2img"]
    bodies = [ORDER, {"prompt": 1}, {**ORDER, "new_parameter": ["as", "it", "is"], "safety_checker": False}]
    replies = [client.post(path, **body).json() for path, body in zip(paths, bodies, strict=True)]
    told = [tuple(submit) for submit in sandbox.submits]
    assert told == [
        ("/api/v4/dreambooth", bodies[0], str(replies[0]["id"]), "processing", 0),
        ("/api/v4/dreambooth/img2img", bodies[1], None, "validation", 0),
        ("/api/v6/images/text2img", bodies[2], str(replies[2]["id"]), "processing", 0),
    ]
    assert asked(client, "submits")[0] == {
        "path": "/api/v4/dreambooth",
        "body": ORDER,
        "request_id": str(replies[0]["id"]),
        "reply": "processing",
        "account": 0,
    }
    assert [record.request_id for record in sandbox.journal] == [told[0][2], None, told[2][2]]
