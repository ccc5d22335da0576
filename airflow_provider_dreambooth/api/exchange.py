# SPDX-License-Identifier: Apache-2.0
"""One call to the service as a conversation: which URLs to post to, and what the replies amount to.

A driver (synchronous or asynchronous) only carries each URL to the network and each reply back::

    conversation = exchange(config, call)
    url = next(conversation)
    # post call.encode(key) to url, send the RawReply in, until StopIteration brings the result
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from airflow_provider_dreambooth.api import wording
from airflow_provider_dreambooth.api.endpoints import MAX_REDIRECTS, Call, redirect_target
from airflow_provider_dreambooth.api.replies import (
    Outcome,
    Pending,
    Ready,
    Refused,
    Unavailable,
    parse,
    read_json,
    retry_after_seconds,
)
from airflow_provider_dreambooth.api.reply_ids import id_in_link, id_within

SHORTEST_SECRET = 8
"""The service's keys have 60 characters; to blank a sandbox's "test" would tear links apart."""


class Account(Protocol):
    """What of a connection's settings decides where the key may go."""

    @property
    def base_url(self) -> str:
        """Scheme, host and port."""

    @property
    def api_key(self) -> str:
        """The secret."""

    @property
    def trusted_hosts(self) -> Collection[str]:
        """Further hosts that may get the key, in lower case."""


@dataclass(frozen=True)
class RawReply:
    """
    An HTTP reply as it came.

    :param body: of a reply that is longer than the call allows: somewhat more than that.
    :param broken: what kept the rest of the body from coming, if anything did.
    """

    http_status: int
    body: bytes
    received_at: float
    broken: str = ""
    location: str | None = None
    retry_after: str | None = None


@dataclass(frozen=True)
class Answer:
    """
    The final reply of a conversation, freed of the key.

    :param broken: what it amounts to if it did not come whole; ``body`` is what came.
    """

    http_status: int
    body: bytes
    retry_after: float | None
    broken: Unavailable | None = None

    def outcome(self) -> Outcome:
        """Read it as the reply to a submit or a fetch."""
        return self.broken or parse(self.http_status, self.body, self.retry_after)

    def json(self) -> object:
        """Read it as JSON; None if it is not."""
        return None if self.broken else read_json(self.body)


def exchange(account: Account, call: Call) -> Generator[str, RawReply, Answer | Refused | Unavailable]:
    """Lead one conversation; see the module's text for the driver's part."""
    url = account.base_url + call.path
    for _ in range(MAX_REDIRECTS + 1):
        reply = yield url
        elsewhere = 300 <= reply.http_status < 400 and reply.http_status != 304
        if elsewhere and not (call.billed and _was_taken(reply)):
            if call.billed and (request_id := id_in_link(reply.location)):  # not followed for the same reason
                said = f"request {request_id}: HTTP {reply.http_status} redirects to where it is fetched"
                return Unavailable("unreadable", said, reply.http_status, request_id=request_id)
            target = redirect_target(url, reply.http_status, reply.location, account.trusted_hosts)
            if target is None:
                return _redirected(url, reply, account.api_key)
            url = target
            continue
        broken = None
        if reply.broken:
            broken = Unavailable("network", reply.broken, reply.http_status)
        elif len(reply.body) > call.max_reply_bytes:
            said = f"HTTP {reply.http_status} with a reply longer than {call.max_reply_bytes} bytes"
            broken = Unavailable("unreadable", said, reply.http_status)
        return Answer(
            reply.http_status,
            without_key(reply.body, account.api_key),
            retry_after_seconds(reply.retry_after, reply.received_at),
            broken,
        )
    return Refused("redirected", f"more than {MAX_REDIRECTS} redirects in a row")


def _was_taken(reply: RawReply) -> bool:
    """Whether a redirect says itself what became of the request: to follow it would send it once more."""
    return bool(id_within(reply.body)) or isinstance(parse(reply.http_status, reply.body), Ready | Pending)


def without_key(body: bytes, api_key: str) -> bytes:
    """Blank the key wherever a reply repeats it, so that no message can carry it further."""
    if len(api_key) < SHORTEST_SECRET or (b"\\" not in body and api_key.encode() not in body):
        return body
    return re.sub(_spellings(api_key), b"***", body)


def text_without_key(text: str, api_key: str) -> str:
    """Blank the key in a text, such as a parameter into which it was put by mistake."""
    return without_key(text.encode("utf-8", "replace"), api_key).decode()


@lru_cache(maxsize=8)
def _spellings(api_key: str) -> re.Pattern[bytes]:
    """Match the key as it is, and as any JSON string may escape it."""
    spelling = ""
    for char in api_key:
        units = char.encode("utf-16-be").hex(" ", 2).split()
        escaped = "".join(rf"\\u(?i:{unit})" for unit in units)
        short = rf"\\{re.escape(char)}|" if char in '\\/"' else ""
        spelling += f"(?:{short}{re.escape(char)}|{escaped})"
    return re.compile(spelling.encode())


def _redirected(url: str, reply: RawReply, api_key: str) -> Refused:
    try:
        host = urlsplit(reply.location or "").hostname or urlsplit(url).hostname
    except ValueError:
        host = None
    if host and len(api_key) >= SHORTEST_SECRET and api_key.lower() in host:
        host = "***"
    return Refused(
        "redirected",
        f"HTTP {reply.http_status} redirects to {wording.one_line(host, 100) or 'nowhere'!r}; the key was "
        f"not sent there. If that host is the service's, set it as the connection's host or add it to the "
        f"extra 'trusted_hosts'",
        reply.http_status,
    )
