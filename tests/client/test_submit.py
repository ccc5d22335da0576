# SPDX-License-Identifier: Apache-2.0
"""
A submit over real sockets: whether it may have arrived, whatever goes wrong.

``sent`` decides whether a picture may be paid for twice, so it is true wherever a byte of the body may have
left, and false only where the service certainly has nothing.
"""

from __future__ import annotations

import gzip
import json
import socket
import time
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from airflow_provider_dreambooth.api.endpoints import Call
from airflow_provider_dreambooth.api.exchange import Answer
from airflow_provider_dreambooth.api.generation import IMAGE_TO_IMAGE, TEXT_TO_IMAGE, read_generation
from airflow_provider_dreambooth.api.replies import Refused, Unavailable
from airflow_provider_dreambooth.api.submitting import (
    Accepted,
    Again,
    Attempts,
    GivenUp,
    SubmitPolicy,
    read_submit,
)
from airflow_provider_dreambooth.client.bounded import at_most
from airflow_provider_dreambooth.client.config import from_fields
from airflow_provider_dreambooth.client.sync import Client
from airflow_provider_dreambooth.sandbox import Sandbox
from tests.client.wire import Wire, free_port, full_backlog, reply, reset

KEY = "canary-KEY-0123456789"
ACCEPTED = b'{"status": "processing", "id": 7, "eta": 3}'
LARGE = "x" * 20_000_000
"""More than the buffers of both sockets hold."""


@pytest.fixture(autouse=True)
def no_proxy_of_the_developer(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def client_of(host: str, **extra: Any) -> Client:
    return Client(from_fields(host=host, port=None, password=KEY, extra=extra))


def submit(
    host: str, *, prompt: str = "a fox", timeout: float = 10.0, least: float = 0.0, **extra: Any
) -> Any:
    client = client_of(host, timeout=timeout, **extra)
    body = {"model_id": "midjourney", "prompt": prompt}
    try:
        return client.submit(Call("/api/v4/dreambooth", body, least_timeout=least))
    finally:
        client.close()


def lost(found: Any, *, sent: bool, says: str) -> None:
    """Nothing came back, and what follows for the next attempt."""
    assert isinstance(found, Unavailable)
    assert found.kind == "network"
    assert found.sent is sent
    assert says in found.message
    assert KEY not in found.message
    verdict = Attempts(0).judge(read_submit(found), 0, SubmitPolicy(queue_timeout=3600))
    assert isinstance(verdict, GivenUp if sent else Again)


# -- certainly nothing arrived


def test_connection_refused():
    lost(submit(f"http://127.0.0.1:{free_port()}"), sent=False, says="refused")


def test_a_name_that_is_none():
    lost(
        submit("https://service.invalid"), sent=False, says="the connection to https://service.invalid failed"
    )


def test_no_connection_in_time():
    with ExitStack() as stack:
        port = full_backlog(stack)
        lost(submit(f"http://127.0.0.1:{port}", timeout=0.2), sent=False, says="no connection")


def test_no_connection_is_told_as_such_however_late_it_is_noticed():
    """On a busy machine all the time of the exchange may be over by then."""
    with ExitStack() as stack:
        port = full_backlog(stack)
        with pytest.raises(requests.ConnectTimeout), at_most(0):
            requests.post(f"http://127.0.0.1:{port}", timeout=0.1)


def test_a_certificate_of_nobody(tmp_path):
    trustme = pytest.importorskip("trustme")
    pem = tmp_path / "server.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    with Sandbox(key=KEY, certificate=str(pem)) as sandbox:
        lost(submit(sandbox.url), sent=False, says="certificate")
        assert sandbox.journal == []


def test_tls_where_there_is_none():
    with Sandbox(key=KEY) as sandbox:
        found = submit(sandbox.url.replace("http:", "https:"))
        lost(found, sent=False, says="TLS")
        assert sandbox.accepted() == 0


def test_a_host_that_breaks_off_in_the_handshake():
    with Wire(lambda connection: (connection.recv(100), reset(connection))) as wire:
        lost(submit(f"https://127.0.0.1:{wire.port}"), sent=False, says="failed")


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_lets_nothing_through(status):
    with Wire(
        lambda connection: (wire.read(connection), connection.sendall(reply(b"", status=status)))
    ) as wire:
        lost(submit("https://service.invalid", proxy=wire.url), sent=False, says="proxy")
    assert wire.received[0].startswith(b"CONNECT service.invalid:443 ")
    assert KEY.encode() not in b"".join(wire.received)


def test_a_proxy_that_breaks_off():
    with Wire(lambda connection: (wire.read(connection), reset(connection))) as wire:
        lost(submit("https://service.invalid", proxy=wire.url), sent=False, says="reset")


@pytest.mark.parametrize("host", ["https://service.invalid", "http://service.invalid"])
def test_a_proxy_that_is_not_there(host):
    lost(submit(host, proxy=f"http://127.0.0.1:{free_port()}"), sent=False, says="proxy")


def test_a_proxy_of_the_environment_that_is_not_there(monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
    lost(submit("https://service.invalid"), sent=False, says="proxy")


def test_redirected_to_where_nobody_is():
    """The host that answered has only pointed elsewhere."""
    target = f"Location: http://127.0.0.1:{free_port()}/api/v4/dreambooth"
    answer = reply(b"", target, status="307 Temporary Redirect")
    with Wire(lambda connection: (wire.read(connection), connection.sendall(answer))) as wire:
        lost(submit(wire.url, trusted_hosts="127.0.0.1"), sent=False, says="refused")
    assert wire.connections == 1


def test_redirected_to_a_stranger():
    answer = reply(b"", "Location: https://stranger.invalid/", status="307 Temporary Redirect")
    with Wire(lambda connection: (wire.read(connection), connection.sendall(answer))) as wire:
        found = submit(wire.url)
    assert isinstance(found, Refused)
    assert isinstance(Attempts(0).judge(found, 0, SubmitPolicy(queue_timeout=3600)), GivenUp)


@pytest.mark.parametrize("status", ["301 Moved Permanently", "303 See Other", "307 Temporary Redirect"])
@pytest.mark.parametrize("where", ["/x", "https://stranger.invalid/", None])
@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        (ACCEPTED, "7"),
        (b'{"status": "processing", "id": 7, "meta": {', None),
        (b'{"message": "See there", "fetch_result": "https://a.example/fetch/7"}', None),
        (b'{"status": "success", "output": ["https://a.example/7.png"]}', None),
    ],
    ids=["accepted", "broken off", "only the id", "only pictures"],
)
def test_a_redirect_that_says_what_became_of_the_submit_is_not_followed(status, where, body, request_id):
    """A second POST would be a second bill."""
    answer = reply(body, *([f"Location: {where}"] if where else []), status=status)
    with Wire(lambda connection: (wire.read(connection), connection.sendall(answer))) as wire:
        client = client_of(wire.url)
        generation = read_generation(TEXT_TO_IMAGE, {"model_id": "m", "prompt": "a fox"})
        found = read_submit(client.submit(generation.call("v4")))
        client.close()
    assert wire.connections == 1
    if request_id:
        assert found == Accepted(request_id, eta=3.0)
    else:
        verdict = Attempts(0).judge(found, 0, SubmitPolicy(queue_timeout=3600))
        assert isinstance(verdict, GivenUp)
        assert verdict.kind == "unknown"
        assert "7" in repr(found)


# -- it may have arrived


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 T", "308 P"])
def test_a_redirect_to_where_a_request_is_fetched_is_not_followed_with_the_submit(status):
    answer = reply(b"<html>Found</html>", "Location: /api/v3/dreambooth/fetch/13443927", status=status)
    with Wire(lambda connection: (wire.read(connection), connection.sendall(answer))) as wire:
        client = client_of(wire.url)
        generation = read_generation(TEXT_TO_IMAGE, {"model_id": "m", "prompt": "a fox"})
        outcome = read_submit(client.submit(generation.call("v4")))
        client.close()
    assert isinstance(outcome, Unavailable)
    assert outcome.message.startswith("request 13443927: ")
    verdict = Attempts(0).judge(outcome, 0, SubmitPolicy(retry_unknown=True))
    assert isinstance(verdict, GivenUp)
    assert verdict.kind == "unknown"
    assert wire.connections == 1


def test_reset_after_the_request():
    with Wire(lambda connection: (wire.read(connection), reset(connection))) as wire:
        lost(submit(wire.url), sent=True, says="reset")
    assert KEY.encode() in wire.received[0]
    assert wire.connections == 1


def test_reset_in_the_middle_of_the_body():
    with Wire(lambda connection: (wire.read(connection, least=200_000), reset(connection))) as wire:
        lost(submit(wire.url, prompt=LARGE), sent=True, says="failed")
    assert wire.connections == 1


def test_closed_without_an_answer():
    with Wire(lambda connection: (wire.read(connection),)) as wire:
        lost(submit(wire.url), sent=True, says="failed")
    assert wire.connections == 1


def test_silence():
    with Wire(lambda connection: (wire.read(connection), connection.recv(1))) as wire:
        lost(submit(wire.url, timeout=0.2), sent=True, says="no reply from http://127.0.0.1")
    assert wire.connections == 1


def test_a_reply_that_drips():
    def drip(connection: socket.socket) -> None:
        wire.read(connection)
        for byte in reply(ACCEPTED) * 10:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with Wire(drip) as wire:
        lost(read_submit(submit(wire.url, timeout=0.2)), sent=True, says="no reply")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n"
PART = b'{"status":"processing","id":123,"meta":{"prompt":"a fox, '


def closed(connection: socket.socket) -> None:
    """Say no more: the server closes each connection at its end."""


@pytest.mark.parametrize(
    ("part", "end", "says"),
    [
        (reply(PART, length=1000), closed, "broke off"),
        (reply(PART, length=1000), reset, "broke off"),
        (reply(PART, length=1000), lambda connection: connection.recv(1), "no whole reply"),
        (CHUNKED % 1000 + PART, closed, "broke off"),
        (CHUNKED % 1000 + PART, reset, "broke off"),
        (CHUNKED % len(PART) + PART + b"\r\nnonsense\r\n", closed, "broke off"),
        (reply(PART + b"x" * 70_000), lambda connection: connection.recv(1), "longer than 65536 bytes"),
        (reply(gzip.compress(PART)[:-8], "Content-Encoding: gzip", length=1000), reset, "broke off"),
        (reply(gzip.compress(PART) + b"x", "Content-Encoding: gzip", length=1000), reset, "broke off"),
        (reply(PART + b'"},"tip":"%s' % KEY.encode(), length=1000), reset, "broke off"),
        (reply(b'{"status":"processing","id":123}', length=1000), closed, "broke off"),
    ],
    ids=[
        "closed",
        "reset",
        "silent",
        "chunked, closed",
        "chunked, reset",
        "chunked, nonsense",
        "too long",
        "compressed",
        "compressed, nonsense",
        "with the key",
        "JSON is whole",
    ],
)
def test_the_id_in_a_reply_that_breaks_off_is_not_lost(part, end, says):
    def speak(connection: socket.socket) -> None:
        wire.read(connection)
        connection.sendall(part)
        time.sleep(0.1)  # a reset would overtake what is still on its way
        end(connection)

    with Wire(speak) as wire:
        found = submit(wire.url, timeout=1.0)
    assert isinstance(found, Answer)
    assert KEY.encode() not in found.body
    outcome = read_submit(found)
    assert isinstance(outcome, Unavailable)
    assert outcome.message.startswith("request 123: ")
    assert says in outcome.message
    assert "the connection to" not in outcome.message
    assert "Error" not in outcome.message
    verdict = Attempts(0).judge(outcome, 0, SubmitPolicy(queue_timeout=3600))
    assert isinstance(verdict, GivenUp)
    assert verdict.kind == "unknown"


@pytest.mark.parametrize("part", [b"", b'{"status":"processing","id":12'])
def test_a_reply_that_breaks_off_before_its_id_is_whole(part):
    with Wire(lambda connection: (wire.read(connection), connection.sendall(reply(part, length=99)))) as wire:
        lost(read_submit(submit(wire.url)), sent=True, says="broke off")


def test_a_reply_that_cannot_be_decompressed():
    answer = reply(b"hello", "Content-Encoding: gzip")
    with Wire(lambda connection: (wire.read(connection), connection.sendall(answer))) as wire:
        lost(read_submit(submit(wire.url)), sent=True, says=f"the reply of {wire.url} cannot be decompressed")


def test_what_is_no_http():
    with Wire(lambda connection: (wire.read(connection), connection.sendall(b"SSH-2.0-x\r\n" * 3))) as wire:
        lost(submit(wire.url), sent=True, says="failed")


def test_redirected_to_where_it_is_lost():
    with (
        Wire(lambda connection: (second.read(connection), reset(connection))) as second,
        Wire(lambda connection: (first.read(connection), connection.sendall(answer))) as first,
    ):
        answer = reply(b"", f"Location: {second.url}/x", status="308 Permanent Redirect")
        lost(submit(first.url, trusted_hosts="127.0.0.1"), sent=True, says="reset")
    assert first.received[0].partition(b"\r\n\r\n")[2] == second.received[0].partition(b"\r\n\r\n")[2]


def test_a_proxy_that_breaks_off_after_the_request():
    """Through a proxy the service's bytes may be on either side of the break."""
    with Wire(lambda connection: (wire.read(connection), reset(connection))) as wire:
        lost(submit("http://service.invalid", proxy=wire.url), sent=True, says="service.invalid")
    assert wire.received[0].startswith(b"POST http://service.invalid/api/v4/dreambooth ")


@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout"])
def test_a_gateway_does_not_know_either(status):
    answer = reply(b"<html>", status=status)
    with Wire(lambda connection: (wire.read(connection), connection.sendall(answer))) as wire:
        found = submit(wire.url)
    assert isinstance(found, Answer)
    verdict = Attempts(0).judge(read_submit(found), 0, SubmitPolicy(queue_timeout=3600))
    assert isinstance(verdict, GivenUp)
    assert verdict.kind == "unknown"


# -- it arrived


def test_accepted():
    with Wire(lambda connection: (wire.read(connection), connection.sendall(reply(ACCEPTED)))) as wire:
        assert read_submit(submit(wire.url)) == Accepted("7", eta=3.0)
    head, _, body = wire.received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v4/dreambooth HTTP/1.1")
    assert json.loads(body) == {"key": KEY, "model_id": "midjourney", "prompt": "a fox"}


def test_a_large_body_arrives_whole():
    with Wire(lambda connection: (wire.read(connection), connection.sendall(reply(ACCEPTED)))) as wire:
        assert isinstance(read_submit(submit(wire.url, prompt=LARGE)), Accepted)
    assert json.loads(wire.received[0].partition(b"\r\n\r\n")[2])["prompt"] == LARGE


def test_a_submit_has_more_patience_than_the_connection():
    def late(connection: socket.socket) -> None:
        wire.read(connection)
        time.sleep(0.4)
        connection.sendall(reply(ACCEPTED))

    with Wire(late) as wire:
        assert isinstance(read_submit(submit(wire.url, timeout=0.1, least=10)), Accepted)


def test_a_long_reply_is_still_read():
    """It repeats the prompt, and one that is cut off would cost a picture."""
    answer = json.dumps({"status": "processing", "id": 7, "meta": {"prompt": "x" * 500_000}}).encode()
    generation = read_generation(TEXT_TO_IMAGE, {"model_id": "m", "prompt": "x" * 500_000})
    with Wire(lambda connection: (wire.read(connection), connection.sendall(reply(answer)))) as wire:
        client = client_of(wire.url)
        found = read_submit(client.submit(generation.call("v4")))
        client.close()
    assert isinstance(found, Accepted)


def test_a_reply_that_repeats_a_large_picture_is_read_to_its_end():
    picture = "A" * 3_000_000

    def repeat(connection: socket.socket) -> None:
        wire.read(connection)
        sent = json.loads(wire.received[-1].partition(b"\r\n\r\n")[2])
        meta = {"init_image": sent["init_image"], "prompt": sent["prompt"]}
        connection.sendall(reply(json.dumps({"status": "processing", "id": 7, "meta": meta}).encode()))

    given = {"model_id": "m", "prompt": "a fox", "init_image": picture, "base64": True}
    with Wire(repeat) as wire:
        client = client_of(wire.url)
        found = read_submit(client.submit(read_generation(IMAGE_TO_IMAGE, given).call("v4")))
        client.close()
    assert isinstance(found, Accepted)
    assert found.request_id == "7"


def test_the_reply_is_waited_for_from_the_last_byte_of_a_long_upload():
    """A large picture over a slow line must not use up the time for the reply: by then it is paid for."""

    def slowly(connection: socket.socket) -> None:
        pauses, last = 5, b""
        while not last.endswith(b'"}'):
            last = connection.recv(1 << 20)
            if pauses:
                pauses -= 1
                time.sleep(0.3)  # less than a send may last, together more than the whole exchange
        connection.sendall(reply(ACCEPTED))

    with Wire(slowly) as wire:
        assert read_submit(submit(wire.url, prompt=LARGE, timeout=0.5)) == Accepted("7", eta=3.0)


def test_each_submit_has_a_connection_of_its_own():
    """One that was idle may be closed by the service just when the request is on its way."""
    with Sandbox(key=KEY) as sandbox:
        client = client_of(sandbox.url)
        request_id = sandbox.add(prompt="x")
        for number in range(3):
            client.fetch(request_id)
            call = read_generation(TEXT_TO_IMAGE, {"model_id": "midjourney", "prompt": str(number)}).call(
                "v4"
            )
            assert isinstance(read_submit(client.submit(call)), Accepted)
        client.close()
        assert sandbox.accepted() == 3
        assert sandbox.connections == 4  # one for the fetches, three for the submits
