# SPDX-License-Identifier: Apache-2.0
"""The service's own words: where it puts its messages, and what they mean.

Sources: the service's published error replies of 2023 and 2025 and clients that handle them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

MAX_TEXT = 300

Kind = Literal[
    "not_found",
    "job_failed",
    "rate_limited",
    "queue_full",
    "server_error",
    "unreadable",
    "key_refused",
    "quota",
    "forbidden",
    "model_not_found",
    "invalid_request",
]

# A field `code`, where there is one, says it best.
_CODES: dict[str, Kind] = {
    "rate_limited": "rate_limited",
    "rate_limit_exceeded": "rate_limited",
    "queue_full": "queue_full",
    "invalid_api_key": "key_refused",
    "unauthorized": "key_refused",
    "forbidden": "forbidden",
    "insufficient_balance": "quota",
    "insufficient_credits": "quota",
    "quota_exceeded": "quota",
    "provider_error": "job_failed",
    "validation_error": "invalid_request",
    "server_error": "server_error",
}

# The order matters: "Rate limit exceeded" contains "limit exceeded", which alone is a used-up quota.
_TEXTS: tuple[tuple[str, Kind], ...] = (
    (r"queued requests|queue (is )?full", "queue_full"),
    (r"rate limit|too many requests|spam filter", "rate_limited"),
    (r"(time|size|memory|length) limit", "server_error"),
    (
        (
            r"(invalid|wrong|missing|expired|disabled).{0,20}api[ _-]?key"
            r"|api[ _-]?key.{0,40}(invalid|required|not valid|expired)|unauthenticated"
        ),
        "key_refused",
    ),
    (
        (
            r"limit exceeded|(insufficient|not enough|out of|no) (credits?|balance|funds)"
            r"|subscri(be|ption)|payment required"
        ),
        "quota",
    ),
    (r"model.{0,60}not (be )?found|model.{0,20}does ?n.t exist", "model_not_found"),
    (r"request (id )?not found|no such request|(invalid|unknown) request[ _]?id", "not_found"),
    (r"invalid api request|field is required|validation", "invalid_request"),
    (r"server error|temporar|timed? ?out|overload|something went wrong|unavailable", "server_error"),
)

_HTTP: dict[int, Kind] = {
    400: "invalid_request",
    401: "key_refused",
    402: "quota",
    403: "forbidden",
    413: "invalid_request",
    422: "invalid_request",
    429: "rate_limited",
}


def classify(
    *, status: str, code: str, text: str, http_status: int, has_retry_after: bool, names_fields: bool
) -> Kind:
    """
    Say what a reply that is neither success nor processing means.

    :param status: the body's ``status`` in lower case, empty if it has none.
    :param code: the body's ``code`` in lower case.
    :param text: the message in lower case, without the hint.
    :param has_retry_after: the body gives seconds in a field ``retry_after``, as the 2025 queue limit does.
    :param names_fields: the message is an object that names parameters, as validation errors are.
    """
    if code in _CODES:
        return _CODES[code]
    # What stands between may answer so, in the same words, and knows nothing of the request behind it.
    broken = http_status >= 500 or http_status == 408
    if (
        names_fields
        and http_status < 500
        and http_status != 429
        and not re.search(r"rate limit|too many requests", text)
    ):
        return "key_refused" if re.search(r"\bkey: ", text) else "invalid_request"
    for pattern, kind in _TEXTS:
        # A job that failed of "server error" has failed; the server that answers is well.
        if re.search(pattern, text) and not (status == "failed" and kind == "server_error" and not broken):
            return kind
    if (has_retry_after and not broken) or code.startswith("rate"):
        return "rate_limited"
    if status == "failed" and (text or not broken):
        return "not_found" if http_status == 404 or code == "not_found" else "job_failed"
    if code == "not_found":
        return "not_found"
    if http_status in _HTTP:
        return _HTTP[http_status]
    # An error in words never seen before. To fetch again costs nothing and a paid picture may be
    # behind it, so it counts as passing: the budget of consecutive failures ends it.
    return "server_error" if broken or status == "error" else "unreadable"


def message_of(document: Mapping[str, object]) -> tuple[str, str]:
    """
    Find the message, wherever this reply puts it: alone, and with the hint; each as one short line.

    Only the message says what a reply means: the service adds advice and advertisements ("subscribe …")
    to failures of every sort.
    """
    message = _first_words(document, ("message", "messege", "error"))
    hint = _first_words(document, ("tip", "tips", "tip_1"))
    hint = "" if "enterprise plan" in hint else hint
    return one_line(message), one_line(" - ".join(part for part in (message, hint) if part))


def delay_in(text: str) -> float | None:
    """Find the seconds in a request to slow down such as ``please wait for 30 seconds and try again``."""
    found = re.search(r"\b(\d{1,4}) ?s(ec|\b)", text, re.IGNORECASE)
    return float(found[1]) if found else None


def one_line(value: object, limit: int = MAX_TEXT) -> str:
    """Make any value one printable line of at most ``limit`` characters, safe for logs and UTF-8."""
    if value is None:
        return ""
    try:
        text = value if isinstance(value, str) else str(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python writes
        text = f"<{type(value).__name__}>"
    text = text[: limit * 4]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def describe_body(body: bytes) -> str:
    """Name a body that is no JSON object, with a short piece of it."""
    if not body.strip():
        return "an empty body"
    start = body[:400].lstrip().lower()
    kind = "an HTML page" if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")) else "a body"
    text = re.sub(r"<[^>]*>", " ", body[:2000].decode("utf-8", "replace"))
    return f"{kind} that reads {one_line(text, 80)!r}"


def plain(value: object, depth: int = 3) -> object:
    """Keep of a decoded JSON value what any database stores: no lone surrogates, no NUL, no depths."""
    if isinstance(value, str):
        return value[:10_000].replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, (int, float)):  # bool is an int; infinity and NaN are no JSON
        return value if abs(value) < 2**63 else None
    if depth and isinstance(value, Mapping):
        return {one_line(key): plain(item, depth - 1) for key, item in list(value.items())[:200]}
    if depth and isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value[:200]]
    return None


def _first_words(document: Mapping[str, object], names: tuple[str, ...]) -> str:
    return next((words for name in names if (words := _words(document.get(name)))), "")


def _words(value: object, depth: int = 3) -> str:
    """Flatten a string, or an object of lists such as ``{"prompt": ["The prompt field is required."]}``."""
    if depth and isinstance(value, Mapping):
        return "; ".join(
            f"{one_line(name)}: {_words(words, depth - 1)}" for name, words in list(value.items())[:10]
        )
    if depth and isinstance(value, list):
        return " ".join(_words(item, depth - 1) for item in value[:10])
    return one_line(value) if isinstance(value, (str, int, float)) else ""
