# SPDX-License-Identifier: Apache-2.0
"""What comes back: any bytes with any HTTP status become exactly one outcome.

The service answers HTTP 200 to most failures and spells its own fields in several ways, so
``status`` in the body decides first, then ``code``, then the text, then the HTTP status.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

from airflow_provider_dreambooth.api import wording
from airflow_provider_dreambooth.api.reply_ids import read_id

MAX_OUTPUTS = 64
"""Links accepted in one reply; the service makes at most 4 pictures a request."""


@dataclass(frozen=True)
class Ready:
    """The pictures are there: ``output`` holds their links, at least one."""

    output: tuple[str, ...]
    proxy_links: tuple[str, ...] = ()
    nsfw_content_detected: Any = None
    meta: Any = None


@dataclass(frozen=True)
class Pending:
    """Queued or running. Only a submit's reply carries ``request_id`` and ``eta`` (seconds)."""

    message: str = ""
    request_id: str | None = None
    eta: float | None = None
    meta: Any = None


@dataclass(frozen=True)
class Failed:
    """This request will give no pictures; asking again changes nothing.

    ``not_found``: the service does not know the id. ``job_failed``: the generation failed.
    ``no_output``: success without a usable link; ``output`` keeps the links that were usable.
    """

    kind: Literal["not_found", "job_failed", "no_output"]
    message: str
    output: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """The service understood and will not: asking again with the same account changes nothing."""

    kind: Literal["key_refused", "quota", "forbidden", "redirected", "model_not_found", "invalid_request"]
    message: str
    http_status: int | None = None

    @property
    def account_wide(self) -> bool:
        """Whether every other request of this connection would be refused just the same."""
        return self.kind in ("key_refused", "quota", "redirected")


@dataclass(frozen=True)
class Unavailable:
    """
    No usable answer this time: asking again makes sense. ``retry_after`` is in seconds.

    ``sent``: the request may have reached the service. Only for ``network`` can it be false.
    ``request_id``: of a submit's reply, the request that it names all the same.
    """

    kind: Literal["rate_limited", "queue_full", "server_error", "unreadable", "network"]
    message: str
    http_status: int | None = None
    retry_after: float | None = None
    sent: bool = True
    request_id: str | None = None

    @property
    def for_load(self) -> bool:
        """Whether the service is well and only asks to be asked less often."""
        return self.kind in ("rate_limited", "queue_full")


@dataclass(frozen=True)
class TimedOut:
    """The caller's deadline passed; ``message`` tells what the service said last. Never parsed."""

    message: str


Outcome = Ready | Pending | Failed | Refused | Unavailable
Verdict = Ready | Failed | Refused | Unavailable | TimedOut


@lru_cache(maxsize=64)
def parse(http_status: int, body: bytes, retry_after: float | None = None) -> Outcome:
    """
    Parse any reply to a submit or a fetch. Total: never raises.

    The outcomes of the last replies are kept: waiting gets the same few bytes thousands of times.

    :param http_status: as received.
    :param body: the whole body, already freed of the API key.
    :param retry_after: seconds from the ``Retry-After`` header, see :func:`retry_after_seconds`.
    """
    document = read_json(body)
    if isinstance(document, Mapping):
        return parse_document(document, http_status, retry_after)
    return _not_the_service(http_status, body, retry_after)


def parse_document(
    document: Mapping[str, Any], http_status: int = 200, retry_after: float | None = None
) -> Outcome:
    """Parse a reply that is a JSON object, or what a generation task made of one. Never raises."""
    status = wording.one_line(document.get("status")).lower()
    if status == "success":
        return _success(document)
    message, text = wording.message_of(document)
    if status == "processing":
        return Pending(
            message=text,
            request_id=read_id(document.get("id")) or read_id(document.get("request_id")),
            eta=read_eta(document.get("eta")),
            meta=read_meta(document),
        )
    told = read_eta(document.get("retry_after"))
    delay = retry_after if told is None else told
    said = text or f"HTTP {http_status} without a message"
    kind = wording.classify(
        status=status,
        code=wording.one_line(document.get("code")).lower(),
        text=(message or text).lower(),
        http_status=http_status,
        has_retry_after=told is not None,
        names_fields=isinstance(document.get("message") or document.get("messege"), Mapping),
    )
    match kind:
        case "not_found" | "job_failed":
            return Failed(kind, said)
        case "rate_limited" | "queue_full":
            delay = wording.delay_in(text) if delay is None else delay
            return Unavailable(kind, said, http_status, delay)
        case "server_error" | "unreadable":
            return Unavailable(kind, said, http_status, delay)
        case _:
            return Refused(kind, said, http_status)


def read_json(body: bytes) -> Any:
    """
    Decode JSON, or None for anything that is not (hostile depths and numbers included).

    A prompt cut within a character, or with a raw line break in it, must not hide the links beside it.
    """
    try:
        return json.loads(body.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def read_eta(value: object) -> float | None:
    """Seconds from a number or its text; None for anything that is no finite time from now on."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def read_meta(document: Mapping[str, Any]) -> Any:
    """What the service says it used (seed, prompt, size …), in a form that any XCom backend stores."""
    meta = document.get("meta")
    return wording.plain(meta) if isinstance(meta, Mapping) else None


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """
    Read a ``Retry-After`` header (RFC 9110, 10.2.3): seconds, or an HTTP date.

    :param now: epoch seconds, to turn a date into a delay.
    """
    if header is None:
        return None
    if (seconds := read_eta(header)) is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _success(document: Mapping[str, Any]) -> Outcome:
    output = document.get("output")
    links = [output] if isinstance(output, str) and output else output
    if not isinstance(links, (list, tuple)) or not links:
        return Failed("no_output", "the service says success but gives no picture link")
    if len(links) > MAX_OUTPUTS:
        return Failed("no_output", f"the reply holds {len(links)} links; at most {MAX_OUTPUTS} are accepted")
    found = [read_link(link) for link in links]
    good = tuple(filter(None, found))
    if len(good) < len(links):
        bad = links[found.index(None)]
        return Failed(
            "no_output",
            f"{len(links) - len(good)} of {len(links)} outputs are no http(s) links, "
            f"the first: {wording.one_line(bad, 100)!r}",
            output=good,
        )
    proxies = document.get("proxy_links")
    nsfw = document.get("nsfw_content_detected")
    return Ready(
        output=good,
        proxy_links=read_links(proxies, MAX_OUTPUTS),
        nsfw_content_detected=wording.plain(nsfw, 1) if isinstance(nsfw, (bool, list)) else None,
        meta=read_meta(document),
    )


def read_link(value: object) -> str | None:
    """Read a link that a picture may have, with its blanks quoted as a browser does; None if it is none."""
    if not isinstance(value, str):
        return None
    link = value.strip().replace(" ", "%20")
    if len(link) > 4096 or not link.isprintable():
        return None
    try:
        parts = urlsplit(link)
        usable = parts.scheme in ("http", "https") and parts.hostname and "%20" not in parts.netloc
    except ValueError:
        return None
    return link if usable else None


def read_links(value: object, most: int) -> tuple[str, ...]:
    """Read the first of a list of links, without what is none."""
    return tuple(filter(None, map(read_link, value[:most]))) if isinstance(value, list) else ()


def _not_the_service(http_status: int, body: bytes, retry_after: float | None) -> Outcome:
    shown = wording.describe_body(body)
    said = f"HTTP {http_status} with {shown}"
    match http_status:
        case 401:
            return Refused("key_refused", said, http_status)
        case 402:
            return Refused("quota", said, http_status)
        case 413:
            return Refused("invalid_request", said, http_status)
        case 429:
            return Unavailable("rate_limited", said, http_status, retry_after)
        case status if status >= 500 or status == 408:
            return Unavailable("server_error", said, http_status, retry_after)
        case _:
            return Unavailable(
                "unreadable", f"{said}, which is no reply of the service", http_status, retry_after
            )


_OUTCOMES: dict[str, Any] = {
    cls.__name__: cls for cls in (Ready, Pending, Failed, Refused, Unavailable, TimedOut)
}


def outcome_to_dict(outcome: Outcome | TimedOut) -> dict[str, Any]:
    """Make JSON primitives of an outcome, leaving out what is at its default."""
    stored: dict[str, Any] = {"outcome": type(outcome).__name__}
    for field in fields(outcome):
        value = getattr(outcome, field.name)
        if value != field.default:
            stored[field.name] = list(value) if isinstance(value, tuple) else value
    return stored


def outcome_from_dict(stored: Mapping[str, Any]) -> Outcome | TimedOut:
    """
    Read back :func:`outcome_to_dict`; fields that a later version added are left out.

    :raises ValueError: if it is not an outcome.
    """
    try:
        cls = _OUTCOMES[stored["outcome"]]
        known = {field.name for field in fields(cls)}
        values = {
            key: tuple(value) if key in ("output", "proxy_links") else value
            for key, value in stored.items()
            if key in known
        }
        outcome: Outcome | TimedOut = cls(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a stored outcome: {wording.one_line(stored, 200)}") from error
    return outcome
