# SPDX-License-Identifier: Apache-2.0
"""What became of a submit, and whether it may be sent once more: a picture is never paid twice unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api.exchange import Answer
from airflow_provider_dreambooth.api.polling import MAX_SERVER_DELAY
from airflow_provider_dreambooth.api.replies import Failed, Outcome, Pending, Ready, Refused, Unavailable
from airflow_provider_dreambooth.api.submitting import (
    RELOAD_SECONDS,
    Accepted,
    Again,
    Attempts,
    GivenUp,
    SubmitPolicy,
    read_reload,
    read_submit,
)

PAYLOADS = {
    path.stem: path.read_bytes().strip() for path in (Path(__file__).parents[1] / "payloads").glob("*.json")
}
SUBMITS = [body for name, body in PAYLOADS.items() if name.startswith("submit_")]

QUEUE = Unavailable("queue_full", "full", 200, retry_after=30)
RATE = Unavailable("rate_limited", "slow down", 429)
DOWN = Unavailable("network", "no connection", sent=False)
LOST = Unavailable("network", "reset")
NO_MODEL = Refused("model_not_found", "Model id not found", 200)

CERTAINLY_NOT: list[Outcome] = [QUEUE, RATE, replace(RATE, retry_after=0.0), DOWN, NO_MODEL]
"""Nothing was accepted: it did not arrive, or the service says that it will not for now."""
FINAL: list[Outcome] = [
    Refused("key_refused", "Invalid Api Key"),
    Refused("quota", "monthly limit"),
    Refused("forbidden", "no"),
    Refused("redirected", "elsewhere"),
    Refused("invalid_request", "prompt"),
    Failed("job_failed", "Failed, Try Again"),
]
DOUBTFUL: list[Unavailable] = [
    LOST,
    Unavailable("server_error", "HTTP 500", 500),
    Unavailable("server_error", "HTTP 503", 503, retry_after=5),
    Unavailable("unreadable", "HTML", 200),
]
"""It may have been accepted, or not."""
TAKEN: list[Outcome] = [
    Ready(("https://a.example/x.png",)),
    Pending(),
    Failed("not_found", "Request not found"),
    Failed("no_output", "success without links or id"),
    Unavailable("network", "request 7: reset", request_id="7"),
    Unavailable("unreadable", "request 7: quota: monthly limit", 200, request_id="7"),
]
"""It was accepted, as the service or an id says; or what is said is not about a submit, and stays so."""
UNKNOWN = [*DOUBTFUL, *TAKEN]
OUTCOMES = st.sampled_from([*CERTAINLY_NOT, *FINAL, *UNKNOWN])
POLICIES = st.builds(
    SubmitPolicy,
    queue_timeout=st.sampled_from([0.0, 0.5, 60.0, 3600.0]),
    retry_unknown=st.booleans(),
    reload_model=st.booleans(),
    reload_seconds=st.sampled_from([0.0, 1.0, 120.0]),
)
POLICY = SubmitPolicy(queue_timeout=3600)


def attempts(**more: Any) -> Attempts:
    return Attempts(1000.0, seed="dag/task/run/7", **more)


def again(verdict: object) -> Again:
    assert isinstance(verdict, Again)
    return verdict


def given_up(verdict: object) -> str:
    assert isinstance(verdict, GivenUp)
    return verdict.kind


# -- never twice


@given(outcomes=st.lists(OUTCOMES, min_size=1, max_size=30), policy=POLICIES, late=st.floats(0, 100))
def test_a_submit_is_sent_again_only_where_nothing_was_accepted(outcomes, policy, late):
    """The promise of this provider, for whatever may come in whatever order."""
    so_far, now, unknown = attempts(), 1000.0, 0
    for outcome in outcomes:
        now += late
        verdict = so_far.judge(outcome, now, policy)
        unknown += outcome in UNKNOWN
        if outcome in UNKNOWN:
            repeated = policy.retry_unknown and outcome in DOUBTFUL
            assert repeated or verdict == GivenUp("unknown", outcome)
        if outcome in FINAL:
            assert isinstance(verdict, GivenUp)
        if isinstance(verdict, Again):
            assert outcome in CERTAINLY_NOT or (outcome in DOUBTFUL and policy.retry_unknown)
            assert verdict.seconds >= 0
            assert not verdict.reload or (policy.reload_model and outcome is NO_MODEL)
            now += verdict.seconds
        else:
            assert verdict == GivenUp(verdict.kind, outcome)
            return
    assert unknown == 0 or policy.retry_unknown


@given(outcomes=st.lists(OUTCOMES, min_size=1, max_size=200), policy=POLICIES)
def test_it_ends_whatever_comes(outcomes, policy):
    """A clock that only the waits move: no sequence of answers keeps a task for much longer than allowed."""
    so_far, now = attempts(), 1000.0
    for outcome in outcomes:
        verdict = so_far.judge(outcome, now, policy)
        if isinstance(verdict, GivenUp):
            return
        now += again(verdict).seconds
    allowed = policy.queue_timeout + 10 * policy.reload_seconds + 200
    assert now - 1000 <= allowed


@pytest.mark.parametrize("outcome", DOUBTFUL, ids=repr)
def test_what_is_unknown_is_the_users_to_decide(outcome):
    assert attempts().judge(outcome, 1001, POLICY) == GivenUp("unknown", outcome)
    asked = SubmitPolicy(retry_unknown=True)
    so_far = attempts()
    for _ in range(2):
        verdict = again(so_far.judge(outcome, 1001, asked))
        assert 30 <= verdict.seconds <= 60  # past the filter for duplicates
        assert outcome.message in verdict.why
    assert given_up(so_far.judge(outcome, 1001, asked)) == "unknown"


@pytest.mark.parametrize("outcome", TAKEN, ids=repr)
def test_what_was_taken_is_not_repeated_on_the_users_word_either(outcome):
    for policy in (POLICY, SubmitPolicy(retry_unknown=True)):
        assert attempts().judge(outcome, 1001, policy) == GivenUp("unknown", outcome)


@pytest.mark.parametrize("outcome", FINAL, ids=repr)
def test_what_is_final_stays_so(outcome):
    everything = SubmitPolicy(queue_timeout=3600, retry_unknown=True, reload_model=True)
    kind = "failed" if isinstance(outcome, Failed) else "refused"
    for policy in (POLICY, everything):
        assert attempts().judge(outcome, 1001, policy) == GivenUp(kind, outcome)


def test_accepted():
    accepted = Accepted("1", eta=2.0)
    assert attempts().judge(accepted, 1001, POLICY) == replace(accepted, submitted_at=1001)


def test_what_did_not_arrive_is_sent_three_times():
    so_far = attempts()
    assert [again(so_far.judge(DOWN, 1001, POLICY)).seconds for _ in range(2)] == [2, 4]
    assert given_up(so_far.judge(DOWN, 1001, POLICY)) == "unreached"


def test_a_line_that_fails_now_and_then_does_not_end_a_long_wait_for_room():
    so_far = attempts()
    for _ in range(10):
        again(so_far.judge(DOWN, 1001, POLICY))
        again(so_far.judge(QUEUE, 1001, POLICY))


# -- room


@given(
    told=st.none() | st.floats(0, 10_000),
    count=st.integers(1, 20),
    seed=st.text(max_size=30),
    full=st.booleans(),
)
def test_never_sooner_than_told_and_never_much_later(told, count, seed, full):
    outcome = replace(QUEUE if full else RATE, retry_after=told)
    so_far, patient = Attempts(0, seed=seed), SubmitPolicy(queue_timeout=1e9)
    least = 30 if told is None else max(told, 0.1)
    for _ in range(count):
        seconds = again(so_far.judge(outcome, 1, patient)).seconds
        assert least <= seconds <= 2 * max(least, MAX_SERVER_DELAY)


def test_each_wait_is_longer_up_to_a_bound():
    so_far, patient = attempts(), SubmitPolicy(queue_timeout=1e9)
    delays = [again(so_far.judge(QUEUE, 1001, patient)).seconds for _ in range(15)]
    for number, delay in enumerate(delays):
        fair = min(30 * 1.5**number, MAX_SERVER_DELAY)
        assert fair <= delay <= 2 * fair


@pytest.mark.parametrize("attempt", [1, 2, 3, 8])
def test_500_tasks_that_were_refused_together_do_not_come_back_together(attempt):
    """Each tenth of the interval gets its share; no moment gets more than a few."""
    patient = SubmitPolicy(queue_timeout=1e9)
    delays = []
    for index in range(500):
        so_far = Attempts(0, seed=f"stickers/draw/scheduled__2026-11-25/{index}", for_load=attempt - 1)
        delays.append(again(so_far.judge(QUEUE, 1, patient)).seconds)
    least = min(30 * 1.5 ** (attempt - 1), MAX_SERVER_DELAY)
    tenths = [0] * 10
    for delay in delays:
        tenths[min(int((delay - least) / least * 10), 9)] += 1
    assert min(tenths) >= 15
    assert max(tenths) <= 90
    most_in_a_second = max(sum(at <= delay < at + 1 for delay in delays) for at in delays)
    assert most_in_a_second <= 60


def test_the_same_task_waits_the_same_time_and_another_time_at_the_next_attempt():
    one, other = attempts(), attempts()
    assert one.judge(QUEUE, 1001, POLICY) == other.judge(QUEUE, 1001, POLICY)
    assert one._spread(1) != one._spread(2)


def test_without_a_queue_timeout_it_is_asked_once():
    assert given_up(attempts().judge(QUEUE, 1000, SubmitPolicy())) == "queue"


@given(queue_timeout=st.floats(0.1, 10_000), told=st.floats(0, 10_000))
@example(queue_timeout=100.0, told=30.0)
def test_the_last_try_is_at_the_end_of_queue_timeout(queue_timeout, told):
    policy, outcome = SubmitPolicy(queue_timeout=queue_timeout), replace(QUEUE, retry_after=told)
    so_far, now = Attempts(0), 0.0
    tries = 0
    while isinstance(verdict := so_far.judge(outcome, now, policy), Again):
        tries += 1
        now += verdict.seconds
        assert now <= queue_timeout * (1 + 1e-9)
    assert given_up(verdict) == "queue"
    assert now == pytest.approx(queue_timeout)
    assert tries >= 1


# -- reloading


def test_a_model_is_loaded_once_and_then_waited_for():
    so_far, policy = attempts(), SubmitPolicy(reload_model=True)
    assert so_far.judge(NO_MODEL, 1000, policy) == Again(RELOAD_SECONDS, NO_MODEL.message, reload=True)
    now = 1000 + RELOAD_SECONDS
    while isinstance(verdict := so_far.judge(NO_MODEL, now, policy), Again):
        assert verdict == Again(30, NO_MODEL.message)
        now += verdict.seconds
    assert given_up(verdict) == "refused"
    assert now == 1000 + 5 * RELOAD_SECONDS


def test_how_long_a_reload_lasts_is_the_users_to_say():
    so_far, policy = attempts(), SubmitPolicy(reload_model=True, reload_seconds=8)
    assert again(so_far.judge(NO_MODEL, 1000, policy)) == Again(8, NO_MODEL.message, reload=True)
    assert again(so_far.judge(NO_MODEL, 1039, policy)).seconds == 2
    assert given_up(so_far.judge(NO_MODEL, 1040, policy)) == "refused"


def test_no_model_is_loaded_unasked():
    assert given_up(attempts().judge(NO_MODEL, 1000, POLICY)) == "refused"


# -- stored


@given(outcomes=st.lists(OUTCOMES, max_size=6), policy=POLICIES)
def test_attempts_survive_json_at_any_point(outcomes, policy):
    straight, stored = attempts(), attempts()
    for outcome in outcomes:
        stored = Attempts.from_dict(json.loads(json.dumps(stored.to_dict())))
        assert stored == straight
        assert stored.judge(outcome, 1001, policy) == straight.judge(outcome, 1001, policy)


def test_what_a_later_release_adds_is_left_out():
    assert Attempts.from_dict({**attempts(unknown=1).to_dict(), "later": 1}) == attempts(unknown=1)
    accepted = Accepted("1", eta=2.0, meta={"seed": 1}, output=("https://a.example/x",))
    assert Accepted.from_dict({**accepted.to_dict(), "later": 1}) == accepted


@given(
    st.builds(
        Accepted,
        request_id=st.text(),
        eta=st.none() | st.floats(0, 1e6),
        meta=st.none() | st.dictionaries(st.text(), st.integers()),
        output=st.lists(st.text()).map(tuple),
        nsfw_content_detected=st.none() | st.booleans(),
        future_links=st.lists(st.text()).map(tuple),
    )
)
def test_accepted_survives_json(accepted):
    assert Accepted.from_dict(json.loads(json.dumps(accepted.to_dict()))) == accepted


# -- reading


def answer(body: bytes | dict[str, Any], http_status: int = 200, retry_after: float | None = None) -> Answer:
    return Answer(http_status, body if isinstance(body, bytes) else json.dumps(body).encode(), retry_after)


def test_published_replies_that_accept():
    v4 = read_submit(answer(PAYLOADS["submit_processing_v4"]))
    assert isinstance(v4, Accepted)
    assert (v4.request_id, v4.eta, v4.output) == ("29763508", 13.067986918399999, ())
    assert v4.meta["seed"] == 3361266218
    assert v4.future_links[0].endswith("0-d00bf96e-8cec-40b4-a090-c87e7165f78e.png")
    v3 = read_submit(answer(PAYLOADS["submit_processing_v3"]))
    assert v3 == Accepted("13902970", eta=29.247986918400002)
    v6 = read_submit(answer(PAYLOADS["submit_processing_v6"]))
    assert isinstance(v6, Accepted)
    assert (v6.request_id, v6.eta, v6.meta["model_id"]) == ("134701497", 2.75, "flux")
    ready = read_submit(answer(PAYLOADS["submit_success_v4"]))
    assert isinstance(ready, Accepted)
    assert (ready.request_id, ready.eta, len(ready.output)) == ("13441520", None, 1)
    newer = read_submit(answer(PAYLOADS["submit_success_newer"]))
    assert isinstance(newer, Accepted)
    assert newer.nsfw_content_detected is False
    assert newer.output[0].endswith("0-1ec64a77-ef0f-4ccf-932b-0c70e917e526.png")


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ("error_insufficient_credits", "quota"),
        ("error_invalid_api_key", "key_refused"),
        ("error_invalid_api_request", "invalid_request"),
        ("error_model_not_found", "model_not_found"),
        ("error_monthly_limit", "quota"),
        ("error_queue_full_2025", "queue_full"),
        ("error_rate_limit_2023", "rate_limited"),
        ("error_server_laravel", "server_error"),
        ("error_validation_object", "invalid_request"),
        ("fetch_job_failed", "job_failed"),
    ],
)
def test_published_replies_that_do_not(payload, kind):
    outcome = read_submit(answer(PAYLOADS[payload]))
    assert isinstance(outcome, (Failed, Refused, Unavailable))
    assert outcome.kind == kind
    # What the service could do and what it would not: only a full queue is waited out.
    verdict = attempts().judge(outcome, 1001, POLICY)
    assert isinstance(verdict, Again) == (kind in ("queue_full", "rate_limited"))


@pytest.mark.parametrize("body", SUBMITS, ids=len)
@pytest.mark.parametrize("http_status", [200, 201, 500, 502])
def test_an_accepted_reply_that_breaks_off_anywhere_is_not_submitted_again(body, http_status):
    for end in range(len(body)):
        outcome = read_submit(answer(body[:end], http_status))
        assert given_up(attempts().judge(outcome, 1001, POLICY)) == "unknown"
    assert isinstance(read_submit(answer(body, http_status)), Accepted)


@pytest.mark.parametrize(
    "request_id", [None, "", "  ", 0, "0", 0.0, True, [], {}, 1.5, "../x", "a b", "x" * 200, -1, 1e300]
)
def test_accepted_without_a_usable_id_is_unknown(request_id):
    for body in (
        {"status": "processing", "id": request_id, "eta": 3},
        {"status": "success", "id": request_id, "output": ["https://a.example/x.png"]},
    ):
        outcome = read_submit(answer(body))
        assert isinstance(outcome, Ready | Pending)
        assert given_up(attempts().judge(outcome, 1001, POLICY)) == "unknown"


def test_the_id_may_stand_in_two_places():
    for body in ({"id": 7}, {"request_id": "7"}, {"id": "", "request_id": 7}, {"id": "7", "request_id": 8}):
        accepted = read_submit(answer({"status": "processing", **body}))
        assert isinstance(accepted, Accepted)
        assert accepted.request_id == "7"


TRACE = "0b8f2a4c-7d1e-4c55-9a53-6d1f0c2b7e99"
FETCH = "https://a.example/api/v3/dreambooth/fetch/99"


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        ({"id": 99.0}, "99"),  # as some writers of JSON have it
        ({"fetch_result": FETCH}, "99"),
        ({"user": {"id": 7}, "fetch_result": FETCH}, "99"),
        ({"user": {"id": 7}, "id": 99}, "99"),
        ({"request_id": TRACE, "fetch_result": FETCH}, "99"),
        ({"request_id": TRACE, "id": 99}, "99"),
        ({"id": "abc123-def456"}, "abc123-def456"),
        ({"id": 99, "fetch_result": "https://a.example/fetch/1"}, "99"),
        ({"fetch_result": f"{FETCH}/"}, "99"),
        ({"fetch_result": f"{FETCH}?key=none"}, "99"),
        ({"id": 0, "fetch_result": FETCH}, "99"),
        ({"id": "0", "request_id": 99}, "99"),
    ],
)
def test_the_request_is_told_from_other_ids_beside_it(body, request_id):
    accepted = read_submit(answer({"status": "processing", **body}))
    assert isinstance(accepted, Accepted)
    assert accepted.request_id == request_id


REFUSALS = [
    (401, {"message": "Unauthenticated."}, "refused"),
    (401, {"status": "error", "message": "Invalid Api Key"}, "refused"),
    (200, {"status": "error", "message": "Invalid Api Key"}, "refused"),
    (402, {"message": "Payment required"}, "refused"),
    (429, {"message": "Too Many Requests"}, "queue"),
    (200, {"status": "error", "message": "Rate limit exceeded"}, "queue"),
]


@pytest.mark.parametrize(("http_status", "said", "kind"), REFUSALS)
def test_a_refusal_that_a_gateway_traces_is_a_refusal(http_status, said, kind):
    outcome = read_submit(answer({**said, "request_id": TRACE}, http_status))
    assert given_up(attempts().judge(outcome, 1001, SubmitPolicy())) == kind


@pytest.mark.parametrize(("http_status", "said", "kind"), REFUSALS)
@pytest.mark.parametrize(
    "taken",
    [
        {"id": 99},
        {"id": "abc123-def456"},
        {"data": {"id": 99}},
        {"fetch_result": FETCH},
        {"eta": 3},
        {"output": ["https://a.example/x.png"]},
    ],
    ids="-".join,
)
def test_with_any_hint_at_a_request_it_is_not(http_status, said, kind, taken):
    outcome = read_submit(answer({**said, "request_id": TRACE, **taken}, http_status))
    assert given_up(attempts().judge(outcome, 1001, POLICY)) == "unknown"


def test_a_trace_of_something_else_than_a_refusal_is_no_refusal():
    for http_status, said in ((500, {"message": "Server Error"}), (200, {"message": "Too Many Requests"})):
        outcome = read_submit(answer({**said, "request_id": TRACE}, http_status))
        assert given_up(attempts().judge(outcome, 1001, POLICY)) == "unknown"


def test_a_failure_with_an_id_names_it():
    outcome = read_submit(answer({"status": "failed", "id": 7, "message": "Failed, Try Again"}))
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("request 7: ")


@pytest.mark.parametrize(
    "reply",
    [
        {"status": "queued", "retry_after": 0.1},
        {"status": "failed", "message": "provider rate limit exceeded"},
        {"status": "error", "message": "Rate limit exceeded"},
        {"status": "error", "message": "Your monthly limit exceeded"},
        {"status": "error", "message": "Model id not found"},
        {"message": "Server Error"},
        {"status": "error", "message": "something odd"},
    ],
    ids=lambda reply: reply.get("message", "queued"),
)
def test_what_has_an_id_was_taken_whatever_else_is_said(reply):
    """Neither is it submitted again for load, nor said to have cost nothing; and the id is told."""
    outcome = read_submit(answer({**reply, "id": 12345}))
    assert not isinstance(outcome, Accepted)
    everything = SubmitPolicy(queue_timeout=3600, retry_unknown=True, reload_model=True)
    assert given_up(attempts().judge(outcome, 1001, everything)) == "unknown"
    assert outcome.message.startswith("request 12345: ")


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": "processing", "tip": "wait", "id": 12345, "meta": {"prompt": "a f',
        b'{"status":"processing","request_id":"12345","eta":3',
        b'{"status": "processing", "fetch_result": "https:\\/\\/a.example\\/fetch\\/12345", "id"',
        b'{"status": "processing", "user": {"id": 7}, "fetch_result": "https://a.example/fetch/12345", "id',
        b'{"status": "processing", "id": 12345.0, "eta',
        b'{"status": "processing", "data": {"id": 12345}}',
        b'{"status": "processing", "id": 0, "fetch_result": "https:\\/\\/a.example\\/fetch\\/12345\\/", "i',
    ],
    ids=[
        "broken off",
        "broken off early",
        "before the id",
        "before another id",
        "12345.0",
        "elsewhere",
        "0 first",
    ],
)
def test_an_id_is_told_wherever_in_an_unusable_reply_it_is(body):
    outcome = read_submit(answer(body))
    assert isinstance(outcome, Pending | Unavailable)
    assert outcome.message.startswith("request 12345")
    assert given_up(attempts().judge(outcome, 1001, SubmitPolicy(retry_unknown=True))) == "unknown"


def test_an_id_of_which_digits_may_be_missing_is_not_told():
    outcome = read_submit(answer(b'{"status": "processing", "id": 123'))
    assert isinstance(outcome, Unavailable)
    assert not outcome.message.startswith("request")


@pytest.mark.parametrize("http_status", [500, 502, 503, 504])
@pytest.mark.parametrize(
    "said",
    ["subscription service unavailable", "Too many requests to upstream", {"error": "Gateway Timeout"}],
)
def test_words_of_a_gateway_do_not_tell_what_became_of_the_submit(said, http_status):
    outcome = read_submit(answer({"message": said}, http_status))
    assert given_up(attempts().judge(outcome, 1001, POLICY)) == "unknown"


@pytest.mark.parametrize(
    "said",
    [
        {"title": "A timeout occurred", "status": 504, "retryable": True, "retry_after": 1},
        {"status": 500, "message": "Validation failed for upstream"},
        {"code": 500, "message": "missing api key in request context"},
        {"status": "error", "retry_after": 1},
        {"status": "failed", "message": "Service temporarily unavailable"},
        {"status": "failed"},
        {"status": "error", "message": "Execution time limit exceeded"},
    ],
)
@pytest.mark.parametrize("http_status", [408, 500, 504, 524])
def test_json_of_a_gateway_neither_refuses_nor_asks_to_submit_again(said, http_status):
    outcome = read_submit(answer(said, http_status))
    assert given_up(attempts().judge(outcome, 1001, POLICY)) == "unknown"


def test_a_303_says_that_it_is_done():
    outcome = read_submit(Refused("redirected", "HTTP 303 redirects to '/result'", 303))
    assert given_up(attempts().judge(outcome, 1001, POLICY)) == "unknown"


@pytest.mark.parametrize("http_status", [404, 405])
@pytest.mark.parametrize(
    "body", [b"<html><title>404 Not Found</title>", b"404 page not found", b"", b'{"detail": "Not Found"}']
)
def test_an_address_at_which_nothing_takes_a_submit_is_told_as_such(body, http_status):
    outcome = read_submit(answer(body, http_status))
    assert given_up(attempts().judge(outcome, 1001, POLICY)) == "refused"
    assert f"HTTP {http_status}" in outcome.message


@pytest.mark.parametrize(
    ("body", "http_status"),
    [
        (b"<html>Not Found</html>", 400),
        (b'<html><a href="/fetch/99"></html>', 404),
        ({"status": "error", "message": "something odd"}, 404),
        ({"message": "Request not found"}, 404),
        ({"id": 99}, 404),
    ],
)
def test_another_404_may_have_taken_it(body, http_status):
    outcome = read_submit(answer(body, http_status))
    assert given_up(attempts().judge(outcome, 1001, POLICY)) == "unknown"


def test_too_large_a_request_is_refused_in_html():
    outcome = read_submit(answer(b"<html><title>413 Request Entity Too Large</title>", 413))
    assert given_up(attempts().judge(outcome, 1001, POLICY)) == "refused"


def test_a_refusal_after_an_attempt_that_nobody_knows_of_leaves_a_doubt():
    so_far, bold = attempts(), SubmitPolicy(retry_unknown=True)
    again(so_far.judge(LOST, 1001, bold))
    so_far = Attempts.from_dict(json.loads(json.dumps(so_far.to_dict())))
    verdict = so_far.judge(Refused("quota", "no credits"), 1002, bold)
    assert isinstance(verdict, GivenUp)
    assert verdict.doubt
    verdict = attempts().judge(Refused("quota", "no credits"), 1002, bold)
    assert isinstance(verdict, GivenUp)
    assert not verdict.doubt


@pytest.mark.parametrize("output", [[], "", None, ["javascript:x"]])
def test_success_without_links_is_accepted_and_fetching_tells_whether_they_come(output):
    body = {"status": "success", "id": 7, "output": output, "meta": {"seed": 5}}
    assert read_submit(answer(body)) == Accepted("7", meta={"seed": 5})


@pytest.mark.parametrize("links", [None, "", "https://a.example/x", {}, [7, None, "javascript:x", ""]])
def test_predicted_links_that_are_none(links):
    accepted = read_submit(answer({"status": "processing", "id": 7, "future_links": links}))
    assert accepted == Accepted("7")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
FIELDS = (
    "id",
    "request_id",
    "fetch_result",
    "error",
    "eta",
    "output",
    "meta",
    "message",
    "code",
    "future_links",
    "retry_after",
)
DOCUMENTS = st.builds(
    lambda status, rest: json.dumps({"status": status, **rest}).encode(),
    st.sampled_from(["success", "processing", "failed", "error"]) | VALUES,
    st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=9), VALUES, max_size=6),
)
BODIES = st.binary(max_size=100) | DOCUMENTS | st.sampled_from(sorted(PAYLOADS.values()))


@given(body=BODIES, http_status=st.integers(100, 599), retry_after=st.none() | st.floats(0, 1e9))
def test_any_reply_to_a_submit_is_something(body, http_status, retry_after):
    found = read_submit(answer(body, http_status, retry_after))
    assert isinstance(found, Accepted | Ready | Pending | Failed | Refused | Unavailable)
    if isinstance(found, Accepted):
        assert json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert found.request_id.isascii()
        assert found.eta is None or found.eta >= 0
    assert isinstance(attempts().judge(found, 1001, POLICY), Accepted | Again | GivenUp)


@given(body=BODIES, http_status=st.integers(100, 599), retry_after=st.none() | st.floats(0, 1e9))
def test_any_reply_to_a_reload_is_a_yes_or_a_reason(body, http_status, retry_after):
    found = read_reload(answer(body, http_status, retry_after))
    assert isinstance(found, str | Failed | Refused | Unavailable)
    if isinstance(found, str):
        assert found
        assert found.isprintable()
        assert http_status < 400


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"status": "success", "message": "Model is loading"}, "Model is loading"),
        ({"status": "success", "messege": "Model is loading"}, "Model is loading"),
        ({"message": "Reloading"}, "Reloading"),
        ({"status": "success"}, "success"),
        ({"status": "processing"}, "processing"),
        ({"done": True}, "nothing more"),
        ({"error": None, "code": 200, "message": "Reloading"}, "Reloading"),
        ({"status": "success", "code": "model_loading"}, "success"),
        ({}, "nothing more"),
    ],
)
def test_a_reload_that_was_begun(body, said):
    assert read_reload(answer(body)) == said


@pytest.mark.parametrize(
    ("found", "cls", "kind"),
    [
        (answer(PAYLOADS["error_model_not_found"]), Refused, "model_not_found"),
        (answer(PAYLOADS["error_invalid_api_key"]), Refused, "key_refused"),
        (answer(PAYLOADS["error_rate_limit_2023"]), Unavailable, "rate_limited"),
        (answer(PAYLOADS["fetch_job_failed"]), Failed, "job_failed"),
        (answer(PAYLOADS["error_server_laravel"], 500), Unavailable, "server_error"),
        (answer({"status": "success", "output": ["https://a.example/x"]}, 500), Unavailable, "unreadable"),
        (answer({"status": "processing"}, 404), Unavailable, "unreadable"),
        (answer(b"<html></html>"), Unavailable, "unreadable"),
        (answer([]), Unavailable, "unreadable"),
        (answer({"error": "Invalid Api Key"}), Refused, "key_refused"),
        (answer({"error": "no"}), Unavailable, "unreadable"),
        (answer({"code": "invalid_api_key", "message": "No."}), Refused, "key_refused"),
        (answer({"code": 401, "message": "No."}), Unavailable, "unreadable"),
        (LOST, Unavailable, "network"),
        (NO_MODEL, Refused, "model_not_found"),
    ],
)
def test_a_reload_that_was_not(found, cls, kind):
    outcome = read_reload(found)
    assert type(outcome) is cls
    assert outcome.kind == kind
