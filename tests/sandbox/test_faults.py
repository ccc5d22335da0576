# SPDX-License-Identifier: Apache-2.0
"""Faults on demand: per request id, per endpoint, at random."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_dreambooth.sandbox import Sandbox
from airflow_provider_dreambooth.sandbox.faults import FAULTS


@pytest.mark.parametrize(
    ("fault", "http", "published"),
    [
        ("processing", 200, "fetch_processing"),
        ("not_found", 200, "fetch_request_not_found"),
        ("job_failed", 200, "fetch_job_failed"),
        ("rate_limit_2023", 200, "error_rate_limit_2023"),
        ("queue_full_2025", 200, "error_queue_full_2025"),
        ("invalid_key", 200, "error_invalid_api_key"),
        ("invalid_request", 200, "error_invalid_api_request"),
        ("http_401", 401, "error_invalid_api_key"),
        ("monthly_limit", 200, "error_monthly_limit"),
        ("insufficient_credits", 200, "error_insufficient_credits"),
        ("model_not_found", 200, "error_model_not_found"),
        ("messege", 200, "error_messege_spelling"),
        ("validation", 200, "error_validation_object"),
        ("server_error", 500, "error_server_laravel"),
    ],
)
def test_published_errors(sandbox, client, fault, http, published, payload):
    request_id = sandbox.add(replies=[fault])
    reply = client.fetch(request_id)
    assert (reply.status_code, reply.json()) == (http, payload(published))
    assert list(reply.json()) == list(payload(published))
    assert client.fetch(request_id).json()["status"] == "success"
    assert [record.answered_as for record in sandbox.journal] == [fault, "success"]


@pytest.mark.parametrize(
    ("fault", "http", "content_type", "beginning"),
    [
        ("http_500", 500, "text/html; charset=UTF-8", "<html>"),
        ("http_502", 502, "text/html; charset=UTF-8", "<html>"),
        ("http_503", 503, "text/html; charset=UTF-8", "<html>"),
        ("http_403_html", 403, "text/html; charset=UTF-8", "<html>"),
        ("html_200", 200, "text/html; charset=UTF-8", "<html>"),
        ("http_403", 403, "application/json", '{"status": "error"'),
        ("not_json", 200, "application/json", "Whoops"),
        ("half_json", 200, "application/json", '{"status": "succ'),
        ("json_list", 200, "application/json", "[]"),
        ("empty_body", 200, "application/json", ""),
        ("code:provider_error", 200, "application/json", '{"status": "error", "code": "provider_error"'),
    ],
)
def test_other_answers(sandbox, client, fault, http, content_type, beginning):
    reply = client.fetch(sandbox.add(replies=[fault]))
    assert (reply.status_code, reply.headers["Content-Type"]) == (http, content_type)
    assert reply.text.startswith(beginning)
    assert reply.text or not beginning


def test_shapes_of_success(sandbox, client):
    endings = ["empty_list", "empty_string", "string", "newer", "nsfw", "proxy_empty"]
    variants = [f"success_{ending}" for ending in endings]
    request_id = sandbox.add(ready_in=60, replies=["processing", *variants])
    assert client.fetch(request_id).json()["status"] == "processing"
    replies = [client.fetch(request_id).json() for _ in variants]
    assert {reply["status"] for reply in replies} == {"success"}
    empty_list, empty_string, string, newer, nsfw, proxy_empty = replies
    assert (empty_list["output"], empty_string["output"]) == ([], "")
    assert [string["output"]] == newer["output"] == newer["proxy_links"] == nsfw["output"]
    assert (newer["nsfw_content_detected"], nsfw["nsfw_content_detected"]) == (False, True)
    assert proxy_empty["proxy_links"] == ""


def test_told_to_wait(sandbox, client):
    request_id = sandbox.add(
        replies=["http_429:7", "queue_full_2025:3", {"fault": "queue_full_2025", "http": 429}]
    )
    by_header, by_body, by_both = (client.fetch(request_id) for _ in range(3))
    assert (by_header.status_code, by_header.headers["Retry-After"]) == (429, "7")
    assert (by_body.status_code, by_body.json()["retry_after"]) == (200, 3)
    assert (by_both.status_code, by_both.json()["retry_after"]) == (429, 30)


@pytest.mark.parametrize("http", [301, 302, 307, 308])
def test_redirects(sandbox, client, http):
    reply = client.fetch(sandbox.add(replies=[f"redirect_{http}:https://elsewhere.example/api"]))
    assert (reply.status_code, reply.headers["Location"]) == (http, "https://elsewhere.example/api")


@pytest.mark.parametrize("fault", ["drop", "cut", "hang:0.01", "lost"])
def test_broken_connections(sandbox, client, fault):
    request_id = sandbox.add(replies=[fault])
    with pytest.raises(
        requests.ConnectionError if fault != "cut" else requests.exceptions.ChunkedEncodingError
    ):
        client.fetch(request_id)
    assert client.fetch(request_id).json()["status"] == "success"
    assert sandbox.journal[0].http == (200 if fault == "cut" else None)


def test_an_answer_of_ones_own(sandbox, client):
    tea = {"http": 418, "body": "short and stout", "headers": {"X-Tea": "yes"}}
    request_id = sandbox.add(
        replies=[tea, {"body": {"status": "teapot"}}, "delay:0.01", {"fault": "ok", "delay": 0.01}]
    )
    reply = client.fetch(request_id)
    assert (reply.status_code, reply.text, reply.headers["X-Tea"]) == (418, "short and stout", "yes")
    assert reply.headers["Content-Type"] == "text/plain"
    assert client.fetch(request_id).json() == {"status": "teapot"}
    assert [client.fetch(request_id).json()["status"] for _ in range(2)] == ["success", "success"]


def test_repetition(sandbox, client):
    request_id = sandbox.add(replies=["processing*2", {"fault": "http_500", "times": 2}, "http_401*"])
    assert [client.fetch(request_id).status_code for _ in range(7)] == [200, 200, 500, 500, 401, 401, 401]


def test_what_it_ends_as(sandbox, client, payload):
    request_id = sandbox.add(ready_in=60, ends_as="job_failed")
    assert client.fetch(request_id).json() == payload("fetch_processing")
    sandbox.finish(request_id)
    assert [client.fetch(request_id).json() for _ in range(2)] == [payload("fetch_job_failed")] * 2


def test_scripts_of_an_endpoint_come_first_whatever_the_id(sandbox, client):
    request_id = sandbox.add(replies=["http_500"])
    sandbox.script("any", ["http_503"])
    sandbox.script("fetch", ["http_502", "not_found"])
    answers = [client.fetch(7), *(client.fetch(request_id) for _ in range(4))]
    assert [reply.status_code for reply in answers] == [502, 200, 503, 500, 200]


def test_a_scripted_normal_answer_still_checks_the_key(sandbox, client, payload):
    request_id = sandbox.add()
    sandbox.script("fetch", ["ok", "success", "delay:0"])
    client.key = "wrong"
    assert [client.fetch(request_id).json() for _ in range(3)] == [payload("error_invalid_api_key")] * 3


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("htpp_500", "http_500"),
        ("processing:3", "takes no argument"),
        ("hang:long", "is a number"),
        ({"fault": "drop", "color": "red"}, "no option color"),
        ({"fault": "drop", "times": 0}, "count from 1"),
    ],
)
def test_a_fault_that_cannot_be_read_is_said_at_once(sandbox, spec, hint):
    with pytest.raises(ValueError, match=hint):
        sandbox.add(replies=["processing", spec])
    with pytest.raises(ValueError, match=hint):
        sandbox.script("fetch", spec)
    with pytest.raises(ValueError, match="No endpoint"):
        sandbox.script("fetsch", "drop")


def test_every_fault_can_be_asked_for(sandbox, client):
    names = [name for name in FAULTS if name not in ("hang", "billed_then_hang", "raw")]
    request_id = sandbox.add(replies=names)
    for _ in names:
        try:
            client.fetch(request_id)
        except requests.RequestException:
            continue
    assert sandbox.fetches(request_id) == len(names)


def test_faults_at_random_are_the_same_for_the_same_seed(client_of):
    def answers(seed: int) -> list[str | None]:
        with Sandbox(seed=seed, fault_rate=0.5, faults=("http_500", "http_429:1")) as sandbox:
            client = client_of(sandbox.url)
            for request_id in [sandbox.add() for _ in range(5)] * 4:
                client.fetch(request_id)
            return [record.answered_as for record in sandbox.journal]

    first = answers(1)
    assert set(first) == {"http_500", "http_429", "success"}
    assert first == answers(1) != answers(2)
    with pytest.raises(ValueError, match="http_500"):
        Sandbox(fault_rate=1, faults=("http_5000",))
