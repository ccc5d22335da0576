# SPDX-License-Identifier: Apache-2.0
"""What is sent and to whom: the paths, the bodies, and where a redirect may carry the key."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api.endpoints import (
    FETCHES,
    MAX_REDIRECTS,
    MODEL_LIST,
    SYSTEM_LOAD,
    Call,
    redirect_target,
)
from airflow_provider_dreambooth.api.exchange import Answer, RawReply, exchange, without_key
from airflow_provider_dreambooth.api.replies import Failed, Pending, Refused, Unavailable
from airflow_provider_dreambooth.client.config import ClientConfig

KEY = 'Canary/"Key"\\0123é😀'
ACCOUNT = ClientConfig("https://modelslab.com", KEY, trusted_hosts=("stablediffusionapi.com",))
FETCH = FETCHES["v4"]("13443927")
URL = "https://modelslab.com/api/v4/dreambooth/fetch"


@pytest.mark.parametrize(
    ("version", "path", "body"),
    [
        ("v3", "/api/v3/dreambooth/fetch/13443927", {"key": KEY}),
        ("v4", "/api/v4/dreambooth/fetch", {"key": KEY, "request_id": "13443927"}),
        ("v6", "/api/v6/images/fetch/13443927", {"key": KEY}),
    ],
)
def test_fetch(version, path, body):
    call = FETCHES[version]("13443927")
    assert call.path == path
    assert json.loads(call.encode(KEY)) == body


def test_the_other_calls():
    assert SYSTEM_LOAD.path == "/api/v3/system_load"
    assert MODEL_LIST.path == "/api/v4/dreambooth/model_list"
    assert MODEL_LIST.max_reply_bytes > FETCH.max_reply_bytes


def test_the_key_is_in_no_repr():
    assert "Canary" not in repr(FETCH)
    assert "Canary" not in repr(ACCOUNT)
    assert "Canary" not in str(ACCOUNT)


# Redirects


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://modelslab.com/new/fetch", "https://modelslab.com/new/fetch"),
        ("/new/fetch", "https://modelslab.com/new/fetch"),
        ("?again=1", f"{URL}?again=1"),
        ("//modelslab.com/x", "https://modelslab.com/x"),
        ("https://MODELSLAB.com:443/x", "https://MODELSLAB.com:443/x"),
        ("https://stablediffusionapi.com/x", "https://stablediffusionapi.com/x"),
        ("https://StableDiffusionAPI.com:8443/x", "https://StableDiffusionAPI.com:8443/x"),
    ],
)
@pytest.mark.parametrize("http_status", [301, 302, 307, 308])
def test_a_redirect_that_is_followed(http_status, location, target):
    assert redirect_target(URL, http_status, location, ACCOUNT.trusted_hosts) == target


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/x",
        "//evil.example/x",
        "https://modelslab.com.evil.example/x",
        "https://www.modelslab.com/x",
        "https://modelslab.com./x",
        "http://modelslab.com/x",
        "http://stablediffusionapi.com/x",
        "https://modelslab.com:8443/x",
        "https://user@modelslab.com/x",
        "https://user:pw@modelslab.com/x",
        "https://evil.example\\@modelslab.com/x",
        "https://modelslab.com\\.evil.example/x",
        "https://modelslab.com@evil.example/x",
        "https://modelslab.com:99999/x",
        "https://modelslab.com:port/x",
        "https://[::1/x",
        "file:///etc/passwd",
        "data:text/plain,x",
        "",
        None,
    ],
)
def test_a_redirect_that_is_not_followed(location):
    assert redirect_target(URL, 308, location, ACCOUNT.trusted_hosts) is None


@pytest.mark.parametrize("http_status", [300, 303, 304, 305, 399])
def test_a_status_that_would_change_the_method_is_not_followed(http_status):
    assert redirect_target(URL, http_status, "/x", ()) is None


@pytest.mark.parametrize(
    ("asked", "location", "followed"),
    [
        ("http://a.example/x", "https://a.example/x", True),
        ("http://a.example/x", "https://a.example:8443/x", False),
        ("http://a.example:8765/x", "https://a.example:8765/x", True),
        ("http://a.example:8765/x", "https://a.example/x", False),
        ("http://a.example:8765/x", "http://a.example:9999/x", False),
        ("http://a.example/x", "http://a.example:80/x", True),
        ("http://[::1]:8765/x", "/y", True),
    ],
)
def test_ports_and_the_way_up_to_https(asked, location, followed):
    assert (redirect_target(asked, 308, location, ()) is not None) == followed


@given(
    st.text() | st.builds("{}://{}{}".format, st.sampled_from(["http", "https", "ftp"]), st.text(), st.text())
)
def test_redirects_are_total(location):
    target = redirect_target(URL, 301, location, ())
    assert target is None or target.startswith("https://modelslab.com")


# A conversation, driven by hand


def converse(*replies: RawReply, call: Call = FETCH) -> tuple[list[str], Answer | Refused | Unavailable]:
    conversation = exchange(ACCOUNT, call)
    urls = [next(conversation)]
    try:
        for reply in replies:
            urls += [conversation.send(reply)]
    except StopIteration as end:
        return urls, end.value
    raise AssertionError(f"it still wants to post to {urls[-1]}")


def reply(http_status: int = 200, body: bytes = b"{}", **more: str) -> RawReply:
    return RawReply(http_status, body, 100.0, **more)


def test_a_plain_answer():
    urls, answer = converse(reply(body=b'{"status": "processing"}'))
    assert urls == [URL]
    assert isinstance(answer, Answer)
    assert answer.outcome() == Pending()
    assert answer.json() == {"status": "processing"}


def test_a_redirect_to_a_trusted_host_is_posted_again():
    urls, answer = converse(
        reply(302, location="https://stablediffusionapi.com/f"), reply(body=b'{"status": "failed"}')
    )
    assert urls == [URL, "https://stablediffusionapi.com/f"]
    assert isinstance(answer, Answer)
    assert isinstance(answer.outcome(), Failed)


def test_a_fetch_is_redirected_whatever_the_redirect_says():
    urls, _ = converse(reply(307, b'{"status": "processing", "id": 7}', location=URL), reply())
    assert urls == [URL, URL]


def test_trust_is_not_handed_on():
    hop = reply(307, location="https://stablediffusionapi.com/f")
    urls, answer = converse(hop, reply(307, location="https://evil.example/f"))
    assert len(urls) == 2
    assert isinstance(answer, Refused)


@pytest.mark.parametrize(
    ("http_status", "location", "host"),
    [
        (301, "https://evil.example/x", "'evil.example'"),
        (303, "/x", "'modelslab.com'"),
        (307, "http://modelslab.com/x", "'modelslab.com'"),
        (308, None, "'modelslab.com'"),
        (308, "https://[bad", "'nowhere'"),
    ],
)
def test_a_redirect_elsewhere_is_refused_and_named(http_status, location, host):
    urls, refused = converse(reply(http_status, location=location))
    assert urls == [URL]
    assert isinstance(refused, Refused)
    assert refused.account_wide
    assert refused.message.startswith(f"HTTP {http_status} redirects to {host}; the key was not sent there.")
    assert "'trusted_hosts'" in refused.message


def test_a_redirect_that_holds_the_key():
    conversation = exchange(ClientConfig("https://modelslab.com", "SecretKey123"), FETCH)
    next(conversation)
    with pytest.raises(StopIteration) as end:
        conversation.send(reply(301, location="https://SecretKey123.evil.example/?key=SecretKey123"))
    assert "secretkey123" not in repr(end.value.value).lower()


def test_a_loop_of_redirects_ends():
    urls, refused = converse(*[reply(307, location=URL)] * (MAX_REDIRECTS + 1))
    assert urls == [URL] * (MAX_REDIRECTS + 1)
    assert refused == Refused("redirected", f"more than {MAX_REDIRECTS} redirects in a row")


def test_a_reply_that_is_too_long():
    _, answer = converse(reply(body=b"{}" + b" " * 65535))
    assert isinstance(answer, Answer)
    assert answer.json() is None
    assert answer.outcome() == Unavailable("unreadable", "HTTP 200 with a reply longer than 65536 bytes", 200)


def test_not_modified_is_no_redirect():
    _, answer = converse(reply(304, b"", location="https://evil.example/"))
    assert isinstance(answer, Answer)
    assert isinstance(answer.outcome(), Unavailable)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0), ("x", None)]
)
def test_the_header_reaches_the_outcome(header, seconds):
    _, answer = converse(reply(503, b"", retry_after=header))
    assert isinstance(answer, Answer)
    assert answer.outcome() == Unavailable("server_error", "HTTP 503 with an empty body", 503, seconds)


def escaped(text: str) -> str:
    return "".join(rf"\u{unit}" for unit in text.encode("utf-16-be").hex(" ", 2).split())


@pytest.mark.parametrize(
    "spelled",
    [
        json.dumps(KEY),
        json.dumps(KEY, ensure_ascii=False),
        json.dumps(KEY).replace("/", "\\/"),
        f'"{escaped(KEY)}"',
        f'"{escaped(KEY).upper()}"'.replace("\\U", "\\u"),
        f'"{KEY[:6]}{escaped(KEY[6:])}"',
    ],
    ids=["ascii", "raw", "php", "escaped", "upper", "mixed"],
)
def test_a_reply_that_repeats_the_key(spelled):
    body = f'{{"status": "error", "message": "Invalid Api Key", "tip": {spelled}}}'
    assert json.loads(body)["tip"] == KEY
    _, answer = converse(reply(body=body.encode()))
    assert isinstance(answer, Answer)
    assert answer.outcome() == Refused("key_refused", "Invalid Api Key - ***", 200)


def test_a_page_that_repeats_the_key():
    _, answer = converse(reply(500, f"<html>{KEY}{KEY}</html>".encode()))
    assert isinstance(answer, Answer)
    assert answer.outcome().message == "HTTP 500 with an HTML page that reads '******'"


@pytest.mark.parametrize("key", ["test", "http", "status", ""])
def test_a_sandbox_key_that_is_a_word_tears_nothing_apart(key):
    body = b'{"status": "success", "output": ["http://localhost/test.png"]}'
    assert without_key(body, key) == body


@given(
    st.text(alphabet=st.characters(codec="utf-8"), min_size=8), st.text(alphabet=st.characters(codec="utf-8"))
)
def test_the_key_never_survives(key, around):
    body = json.dumps({"a": around + key + around, key: key})
    assert key not in without_key(body.encode(), key).decode() or key in '{"a": "***", "***": "***"}'
