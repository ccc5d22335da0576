# SPDX-License-Identifier: Apache-2.0
"""Every published reply and every rule of the service's contract; then anything at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api import wording
from airflow_provider_dreambooth.api.replies import (
    MAX_OUTPUTS,
    Failed,
    Outcome,
    Pending,
    Ready,
    Refused,
    TimedOut,
    Unavailable,
    outcome_from_dict,
    outcome_to_dict,
    parse,
    parse_document,
    read_eta,
    read_json,
    retry_after_seconds,
)

PAYLOADS = {path.stem: path for path in (Path(__file__).parents[1] / "payloads").glob("*.json")}
LINK = "https://pub-1.r2.dev/generations/a-0.png"


def said(http_status: int = 200, **document: object) -> Outcome:
    return parse(http_status, json.dumps(document).encode())


def kind_of(outcome: Outcome) -> str:
    return getattr(outcome, "kind", type(outcome).__name__)


# What is published


PUBLISHED = {
    "error_insufficient_credits": "quota",
    "error_invalid_api_key": "key_refused",
    "error_invalid_api_request": "invalid_request",
    "error_messege_spelling": "server_error",  # says nothing at all: asking again is free
    "error_model_not_found": "model_not_found",
    "error_monthly_limit": "quota",
    "error_queue_full_2025": "queue_full",
    "error_rate_limit_2023": "rate_limited",
    "error_server_laravel": "server_error",
    "error_validation_object": "invalid_request",
    "fetch_job_failed": "job_failed",
    "fetch_processing": "Pending",
    "fetch_request_not_found": "not_found",
    "fetch_success_v4": "Ready",
    "model_list_head": "unreadable",  # no reply to a fetch
    "submit_processing_v3": "Pending",
    "submit_processing_v4": "Pending",
    "submit_processing_v6": "Pending",
    "submit_success_newer": "Ready",
    "submit_success_v4": "Ready",
    "system_load": "unreadable",  # no reply to a fetch
    "webhook_failed": "job_failed",
    "webhook_success": "Ready",
}


def test_every_published_reply_has_its_case():
    assert set(PUBLISHED) == set(PAYLOADS)


@pytest.mark.parametrize(("name", "expected"), PUBLISHED.items())
def test_published_reply(name, expected):
    assert kind_of(parse(200, PAYLOADS[name].read_bytes())) == expected


@pytest.mark.parametrize("http_status", [200, 400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize(
    "name", [name for name in PUBLISHED if "system_load" not in name and "model_list" not in name]
)
def test_the_body_beats_the_http_status(name, http_status):
    expected = PUBLISHED[name]
    if name == "error_messege_spelling":  # "Error message" decides nothing: the HTTP status may
        expected = {400: "invalid_request", 401: "key_refused", 429: "rate_limited"}.get(
            http_status, expected
        )
    if name in ("fetch_job_failed", "webhook_failed") and http_status == 404:
        expected = "not_found"
    assert kind_of(parse(http_status, PAYLOADS[name].read_bytes())) == expected


@pytest.mark.parametrize("http_status", [408, 502, 503])
@pytest.mark.parametrize(
    "said", [{"status": "failed"}, {"status": "failed", "message": "Service temporarily unavailable"}]
)
def test_a_request_has_not_failed_because_a_gateway_has(said, http_status):
    assert kind_of(parse(http_status, json.dumps(said).encode())) == "server_error"


def test_what_a_submit_tells():
    outcome = parse(200, PAYLOADS["submit_processing_v4"].read_bytes())
    assert isinstance(outcome, Pending)
    assert (outcome.request_id, outcome.eta) == ("29763508", 13.067986918399999)
    assert outcome.meta["seed"] == 3361266218
    assert outcome.message.startswith("Try to fetch request after seconds estimated")


def test_predicted_links_are_no_results():
    assert isinstance(parse(200, PAYLOADS["submit_processing_v6"].read_bytes()), Pending)


def test_a_fetch_that_is_not_ready_has_neither_id_nor_eta():
    assert parse(200, PAYLOADS["fetch_processing"].read_bytes()) == Pending(message="try again later.")


def test_newer_replies_keep_their_extras():
    outcome = parse(200, PAYLOADS["submit_success_newer"].read_bytes())
    assert isinstance(outcome, Ready)
    assert outcome.nsfw_content_detected is False
    assert [link.split("/")[2] for link in outcome.proxy_links] == ["cdn2.stablediffusionapi.com"]


# The numbered rules of the contract


@pytest.mark.parametrize("field", ["message", "messege", "error"])
def test_every_spelling_of_the_message(field):
    assert said(status="error", **{field: "Invalid Api Key"}) == Refused(
        "key_refused", "Invalid Api Key", 200
    )


@pytest.mark.parametrize("field", ["tip", "tips", "tip_1"])
def test_hints_are_shown(field):
    assert said(status="failed", message="Failed, Try Again", **{field: "Use 512"}).message == (
        "Failed, Try Again - Use 512"
    )


def test_the_advertisement_is_not_shown():
    assert parse(200, PAYLOADS["fetch_request_not_found"].read_bytes()) == Failed(
        "not_found", "Request not found"
    )


@pytest.mark.parametrize(
    "hint",
    [
        "Subscribe to a premium plan for faster generations",
        "Make sure your Api Key is not invalid",
        "Rate limit exceeded is avoided by a plan",
        "Out of credits? Buy more",
    ],
)
def test_a_hint_never_decides(hint):
    # As quota or key_refused it would end every other request of the batch.
    assert kind_of(said(status="failed", message="Failed, Try Again", tip=hint)) == "job_failed"


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        (
            {"prompt": ["The prompt field is required."]},
            "invalid_request",
            "prompt: The prompt field is required.",
        ),
        ({"a": ["x", "y"], "b": "z"}, "invalid_request", "a: x y; b: z"),
        ({"key": ["The key field is required."]}, "key_refused", "key: The key field is required."),
        ({"error": ["Too many requests"]}, "rate_limited", "error: Too many requests"),
    ],
)
def test_a_message_may_be_an_object_of_lists(message, kind, words):
    outcome = said(status="error", message=message)
    assert (kind_of(outcome), outcome.message) == (kind, words)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("rate_limited", "rate_limited"),
        ("rate_something_new", "rate_limited"),
        ("invalid_api_key", "key_refused"),
        ("insufficient_balance", "quota"),
        ("provider_error", "job_failed"),
        ("not_found", "not_found"),
        ("a_code_of_next_year", "server_error"),
        (429, "server_error"),
        (["rate_limited"], "server_error"),
        (None, "server_error"),
    ],
)
def test_a_code_says_it_best(code, kind):
    assert kind_of(said(status="error", code=code, message="No.")) == kind


def test_a_code_beats_the_text():
    assert kind_of(said(status="error", code="provider_error", message="Rate limit exceeded")) == "job_failed"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Rate limit exceeded", "rate_limited"),
        ("Rate limit exceeded. Maximum 10 queued requests allowed.", "queue_full"),
        ("Too Many Requests", "rate_limited"),
        ("Your monthly limit exceeded", "quota"),
        ("limit exceeded", "quota"),
        ("Insufficient credits. Please add more credits to continue.", "quota"),
        ("Please subscribe to a plan", "quota"),
        ("Invalid api_key", "key_refused"),
        ("Your API-Key has expired", "key_refused"),
        ("Model id not found", "model_not_found"),
        ("Request not found", "not_found"),
        ("Request id not found", "not_found"),
        ("Server Error", "server_error"),
        ("Words never seen before", "server_error"),
    ],
)
def test_texts(message, kind):
    assert kind_of(said(status="error", message=message)) == kind


@pytest.mark.parametrize(
    "message",
    ["Failed, Try Again", "CUDA out of memory", "", None, "Processing failed: Invalid input dimensions"],
)
def test_failed_in_any_other_words_is_a_failed_job(message):
    assert kind_of(said(status="failed", message=message)) == "job_failed"


@pytest.mark.parametrize("status", ["success", "Success", " SUCCESS "])
def test_output_as_one_string(status):
    assert said(status=status, output=LINK) == Ready((LINK,))


@pytest.mark.parametrize("output", [[], "", None, {}, 5, True, {"0": LINK}])
def test_success_without_output_is_a_failure(output):
    assert kind_of(said(status="success", id=1, output=output)) == "no_output"


def test_success_beats_any_http_status_and_message():
    outcome = said(500, status="success", output=[LINK], message="Rate limit exceeded", code="rate_limited")
    assert outcome == Ready((LINK,))


@pytest.mark.parametrize(
    "link",
    [
        "file:///etc/passwd",
        "ftp://a/b.png",
        "javascript:alert(1)",
        "//a/b.png",
        "b.png",
        "https://",
        "https://[::1/b.png",
        "https://a b/c.png",
        "https ://a/b.png",
        " ",
        "https://a/b\nc.png",
        "https://a/\ud800.png",
        "https://a/" + "b" * 5000,
        "",
        None,
        7,
        [LINK],
    ],
)
def test_an_output_that_is_no_link_fails_and_keeps_the_others(link):
    outcome = said(status="success", output=[LINK, link])
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.output) == ("no_output", (LINK,))
    assert outcome.message.startswith("1 of 2 outputs are no http(s) links, the first: ")


@pytest.mark.parametrize(
    ("link", "read"),
    [
        ("https://a/b c.png", "https://a/b%20c.png"),
        ("https://a/b%20 c.png?d= e#f g", "https://a/b%20%20c.png?d=%20e#f%20g"),
        (" https://a/b.png\n", "https://a/b.png"),
    ],
)
def test_a_link_with_blanks_is_quoted_as_a_browser_does(link, read):
    """A paid picture is not lost because its name was not quoted."""
    for output in (link, [link]):
        assert said(status="success", output=output, proxy_links=[link]) == Ready((read,), (read,))


def test_a_million_outputs_are_refused():
    outcome = said(status="success", output=["https://a/b"] * 1_000_000)
    assert outcome == Failed(
        "no_output", f"the reply holds 1000000 links; at most {MAX_OUTPUTS} are accepted"
    )


@pytest.mark.parametrize(
    ("http_status", "body", "kind"),
    [
        (200, b"", "unreadable"),
        (200, b"<!DOCTYPE html><html><title>Down</title></html>", "unreadable"),
        (200, b"not json", "unreadable"),
        (200, b"[]", "unreadable"),
        (200, b'"success"', "unreadable"),
        (200, b"{}", "unreadable"),
        (200, b'{"status": "success", "output"', "unreadable"),
        (401, b"<html>", "key_refused"),
        (402, b"", "quota"),
        (403, b"<html>a firewall</html>", "unreadable"),  # whose firewall? not the service's word
        (404, b"<html>", "unreadable"),
        (408, b"", "server_error"),
        (429, b"slow down", "rate_limited"),
        (500, b"", "server_error"),
        (502, b"<html>Bad Gateway</html>", "server_error"),
        (401, b'{"message": "Unauthenticated."}', "key_refused"),
        (403, b'{"message": "This action is forbidden."}', "forbidden"),
        (404, b'{"message": ""}', "unreadable"),
        (422, b'{"errors": {}}', "invalid_request"),
        (500, b'{"message": "Server Error"}', "server_error"),
    ],
)
def test_replies_that_are_not_the_services(http_status, body, kind):
    outcome = parse(http_status, body)
    assert kind_of(outcome) == kind
    assert str(http_status) in outcome.message or outcome.message in body.decode()


def test_an_html_page_is_named_and_quoted():
    outcome = parse(502, b"<html><title>502</title><h1>Bad\n Gateway</h1></html>")
    assert outcome.message == "HTTP 502 with an HTML page that reads '502 Bad Gateway'"


def test_a_gateway_that_words_its_timeout_as_an_object_ends_no_wait():
    outcome = parse(504, b'{"message": {"error": "Gateway Timeout"}}')
    assert isinstance(outcome, Unavailable)
    assert outcome.kind == "server_error"


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"status": "success", "output": "%s"}',
        b'{"meta": {"prompt": "cut caf\xc3"}, "status": "success", "output": "%s"}',
        b'{"meta": {"prompt": "two\nlines"}, "status": "success", "output": "%s"}',
        b'{"meta": {"seed": NaN}, "status": "success", "output": ["%s"]}',
        b'{"tip": "\\ud800", "status": "success", "output": ["%s"]}',
    ],
    ids=["byte order mark", "cut character", "raw line break", "NaN", "lone surrogate"],
)
def test_a_blemish_elsewhere_does_not_lose_a_paid_picture(body):
    outcome = parse(200, body.replace(b"%s", LINK.encode()))
    assert isinstance(outcome, Ready)
    assert outcome.output == (LINK,)


# Delays


@pytest.mark.parametrize(
    ("document", "header", "expected"),
    [
        ({"message": "Rate limit exceeded", "retry_after": 30}, None, 30),
        ({"message": "Rate limit exceeded", "retry_after": "30"}, 5, 30),
        ({"message": "Rate limit exceeded", "retry_after": -1}, 5, 5),
        ({"message": "Rate limit exceeded", "retry_after": True}, 5, 5),
        ({"message": "Rate limit exceeded", "tips": "please wait for 30 seconds and try again"}, None, 30),
        ({"message": "Rate limit exceeded", "tips": "please wait for 30 seconds and try again"}, 5, 5),
        ({"message": "Rate limit exceeded. Maximum 5 queued requests allowed."}, None, None),
        ({"message": "Server Error"}, 5, 5),
        ({"message": "Server Error after 30 seconds"}, None, None),
    ],
)
def test_the_services_delay(document, header, expected):
    outcome = parse_document({"status": "error", **document}, 200, header)
    assert isinstance(outcome, Unavailable)
    assert outcome.retry_after == expected


def test_retry_after_alone_means_load():
    assert kind_of(said(status="error", message="Later, please", retry_after=30)) == "rate_limited"
    assert kind_of(said(status="failed", message="Failed, Try Again", retry_after=None)) == "job_failed"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("30", 30),
        (" 1.5 ", 1.5),
        ("-5", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01 Jan 99999 00:00:00 GMT", None),
    ],
)
def test_retry_after_header(header, expected):
    assert retry_after_seconds(header, now=100.0) == expected


@given(st.text(), st.floats(0, 2e9))
def test_retry_after_header_is_total(header, now):
    delay = retry_after_seconds(header, now)
    assert delay is None or 0 <= delay < float("inf")


@pytest.mark.parametrize("value", [True, None, "", "soon", "nan", "inf", -1, 10**400, [1], {}, float("nan")])
def test_what_is_no_eta(value):
    assert read_eta(value) is None


# Anything at all


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(codec=None))
    | st.sampled_from(
        [10**1000, "\ud800", "\x00", "2 \n lines", "Rate limit exceeded", LINK, "x" * 20_000, float("nan")]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
FIELDS = [
    "status",
    "message",
    "messege",
    "error",
    "tip",
    "tips",
    "code",
    "id",
    "request_id",
    "eta",
    "meta",
    "output",
    "proxy_links",
    "nsfw_content_detected",
    "retry_after",
]
documents = st.dictionaries(st.sampled_from(FIELDS), values, max_size=8)
statuses = st.sampled_from(["success", "processing", "failed", "error", "Success", "queued", ""]) | values
replies = st.binary() | st.builds(
    lambda document, status: json.dumps(document | {"status": status}).encode(), documents, statuses
)
hostile = [
    b"[" * 200_000,
    b'{"status":' * 200_000,
    b'{"status": "success", "output": [' + b"[" * 900 + b"]" * 900 + b"]}",
    b'{"status": "success", "id": ' + b"9" * 5000 + b"}",
    b'{"status": "success", "id": 1e999, "eta": -Infinity, "output": NaN}',
    b'{"status": "error", "message": "\\ud800\\u0000\\u202e\\n\\u001b[31m"}',
    b'{"status": "processing", "id": "\\ud800", "eta": 1e308, "meta": {"\\ud800": "a\\u0000b"}}',
    '{"status": "error"}'.encode("utf-16"),
    b"\x00" * 5000,
    b"<" * 5000,
]


def check(outcome: Outcome) -> None:
    assert isinstance(outcome, get_args(Outcome))
    if not isinstance(outcome, Ready):
        assert outcome.message.isprintable()
        outcome.message.encode()
        assert len(outcome.message) < 500
    if not isinstance(outcome, (Ready, Pending)):
        assert outcome.message
    stored = outcome_to_dict(outcome)
    assert "\\u0000" not in json.dumps(stored)
    again = json.loads(json.dumps(stored, allow_nan=False).encode())
    assert outcome_from_dict(again) == outcome
    assert outcome_from_dict({**again, "of_a_later_version": [1]}) == outcome
    json.dumps(stored, ensure_ascii=False).encode()
    if isinstance(outcome, Ready):
        assert 0 < len(outcome.output) <= MAX_OUTPUTS
        assert all(link.startswith(("http://", "https://")) for link in outcome.output)


@given(st.integers(100, 599) | st.sampled_from([200, 404, 429, 500]), replies, st.none() | st.floats(0, 1e9))
def test_parse_is_total(http_status, body, retry_after):
    check(parse(http_status, body, retry_after))


@pytest.mark.parametrize("http_status", [200, 500])
@pytest.mark.parametrize("body", hostile, ids=range(len(hostile)))
def test_hostile_replies(http_status, body):
    check(parse(http_status, body))


@given(documents)
@example({"status": "success", "output": LINK, "meta": {10**5000: 1, None: (1,)}})
def test_what_a_task_returned_is_parsed_without_raising(document):
    check(parse_document(document))


outcomes = (
    st.builds(
        Pending,
        st.text(),
        st.none() | st.text(),
        st.none() | st.floats(0, 1e9),
        st.none() | st.just({"seed": 1}),
    )
    | st.builds(
        Ready,
        st.lists(st.text(), min_size=1).map(tuple),
        st.just(()) | st.just((LINK,)),
        st.none() | st.booleans(),
    )
    | st.builds(
        Failed, st.sampled_from(["not_found", "no_output"]), st.text(), st.lists(st.text()).map(tuple)
    )
    | st.builds(
        Refused, st.sampled_from(["quota", "redirected"]), st.text(), st.none() | st.integers(100, 599)
    )
    | st.builds(
        Unavailable, st.just("network"), st.text(), st.none() | st.just(500), st.none() | st.floats(0, 1e9)
    )
    | st.builds(TimedOut, st.text())
)


@given(outcomes)
def test_outcomes_are_stored_and_read_back(outcome):
    assert outcome_from_dict(json.loads(json.dumps(outcome_to_dict(outcome)))) == outcome


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"outcome": "Other"},
        {"outcome": []},
        {"outcome": "Failed"},
        {"outcome": "Ready", "output": 5},
        None,
        "x",
    ],
)
def test_what_is_no_stored_outcome(stored):
    with pytest.raises(ValueError, match="not a stored outcome"):
        outcome_from_dict(stored)


def test_account_wide_is_what_every_other_request_would_meet():
    wide = {kind for kind in get_args(wording.Kind) if Refused(kind, "").account_wide}
    assert wide == {"key_refused", "quota"}
    assert Refused("redirected", "").account_wide


@given(st.binary())
def test_read_json_is_total(body):
    read_json(body)
