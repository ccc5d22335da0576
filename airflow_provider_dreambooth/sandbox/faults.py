# SPDX-License-Identifier: Apache-2.0
"""What the service, or the net on the way to it, can do wrong, as data: faults of the API and of its pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_dreambooth.sandbox import replies

JSON, HTML = "application/json", "text/html; charset=UTF-8"

Manner = Literal[
    "reply", "normal", "success", "drop", "lost", "cut", "hang", "delay", "redirect",  # of any request
    "late", "stalled", "short", "huge", "relabelled",  # of pictures only
]  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong.

    :param manner: how it is sent; ``reply`` sends ``http``, ``headers`` and ``body``.
    :param body: JSON-able, or a string that is sent as it is, or a function that makes it from the argument.
        With manner ``success`` a function of the finished reply, which it changes.
    :param argument: the name and the default of the option that may follow the name after a colon.
    :param transient: a good client lives through it; the faults at random are drawn from these.
    """

    name: str
    about: str
    http: int = 200
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    manner: Manner = "reply"
    argument: tuple[str, Any] | None = None
    transient: bool = False


def _page(title: str) -> str:
    return f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"


def _html(name: str, http: int, title: str, *, transient: bool = False) -> Fault:
    return Fault(
        name,
        f"HTTP {http} with an HTML page",
        http,
        _page(title),
        content_type=HTML,
        transient=transient,
    )


def _shape(**changes: object) -> Callable[[replies.Reply], replies.Reply]:
    return lambda reply: {**reply, **changes}


def _first_link(reply: replies.Reply) -> replies.Reply:
    output = reply["output"]
    return {**reply, "output": output[0] if isinstance(output, list) and output else output}


def _newer(reply: replies.Reply) -> replies.Reply:
    return {**reply, "proxy_links": reply["output"], "nsfw_content_detected": False}


def _redirect(http: int) -> Fault:
    return Fault(
        f"redirect_{http}",
        f"HTTP {http} to another URL",
        http,
        _page("Moved"),
        content_type=HTML,
        manner="redirect",
        argument=("to", "/elsewhere"),
    )


_RATE_LIMIT = "HTTP 429 with a `Retry-After` header (seconds)"
_ANYWHERE = (
    Fault("ok", "no fault: the normal answer (a place-holder in a list)", manner="normal"),
    Fault("raw", "an answer of your own: give `http`, `body`, `headers`"),
    Fault("drop", "the socket is closed without an answer", manner="drop", transient=True),
    Fault("lost", "the request is carried out, then the socket is closed without an answer", manner="lost"),
    Fault("hang", "no answer for so many seconds, then the socket is closed", manner="hang", argument=("seconds", 3600.0)),
    Fault("delay", "the normal answer, so many seconds late", manner="delay", argument=("seconds", 1.0)),
    Fault("empty_body", "HTTP 200 and nothing"),
    _redirect(301),
    _redirect(302),
    _redirect(307),
    _redirect(308),
    _html("http_403_html", 403, "403 Forbidden"),
    _html("http_404_html", 404, "404 Not Found"),
    _html("http_500", 500, "500 Internal Server Error", transient=True),
    _html("http_502", 502, "502 Bad Gateway", transient=True),
    _html("http_503", 503, "503 Service Temporarily Unavailable", transient=True),
)  # fmt: skip

_OF_THE_API = (
    Fault("processing", "not ready yet", body=replies.PROCESSING, transient=True),
    Fault("success", "ready, whatever the clock says", manner="success", body=_shape()),
    Fault("success_newer", "ready, with `proxy_links` and `nsfw_content_detected`", manner="success", body=_newer),
    Fault("success_nsfw", "ready, and `nsfw_content_detected` is true", manner="success",
          body=lambda reply: {**_newer(reply), "nsfw_content_detected": True}),
    Fault("success_proxy_empty", 'ready, `proxy_links` is `""`', manner="success", body=_shape(proxy_links="")),
    Fault("success_empty_list", "ready, but `output` is `[]`", manner="success", body=_shape(output=[])),
    Fault("success_empty_string", 'ready, but `output` is `""`', manner="success", body=_shape(output="")),
    Fault("success_string", "ready, `output` is one plain URL", manner="success", body=_first_link),
    Fault("not_found", "`Request not found`", body=replies.NOT_FOUND),
    Fault("job_failed", "`Failed, Try Again`: the job is lost", body=replies.JOB_FAILED),
    Fault("rate_limit_2023", "the spam filter of 2023", body=replies.RATE_LIMIT_2023, transient=True),
    Fault("queue_full_2025", "too many queued requests, with `retry_after` in the body", transient=True,
          body=lambda seconds: replies.queue_full(retry_after=seconds), argument=("retry_after", 30)),
    Fault("http_429", _RATE_LIMIT, 429, {"message": "Too Many Attempts."}, {"Retry-After": "{}"},
          argument=("retry_after", 1), transient=True),
    Fault("server_error", "Laravel's HTTP 500, JSON without `status`", 500, replies.SERVER_ERROR, transient=True),
    Fault("html_200", "an HTML page with HTTP 200", body=_page("Just a moment..."), content_type=HTML, transient=True),
    Fault("not_json", "HTTP 200, called JSON, but it is not", body="Whoops, looks like something went wrong."),
    Fault("half_json", "HTTP 200, a whole answer that ends in the middle of the JSON", body='{"status": "succ'),
    Fault("json_list", "HTTP 200, JSON, but a list", body=[]),
    Fault("cut", "half the body, then the socket is closed", manner="cut", transient=True),
    Fault("invalid_key", "`Invalid Api Key` with HTTP 200", body=replies.INVALID_KEY),
    Fault("invalid_request", "`Invalid API Request`", body=replies.INVALID_REQUEST),
    Fault("http_401", "`Invalid Api Key` with HTTP 401", 401, replies.INVALID_KEY),
    Fault("http_403", "HTTP 403 with JSON", 403, {"status": "error", "message": "Access denied"}),
    Fault("http_404", "HTTP 404 with JSON, no `status`", 404, replies.route_not_found("api")),
    Fault("monthly_limit", "`Your monthly limit exceeded`: the quota is used up", body=replies.MONTHLY_LIMIT),
    Fault("insufficient_credits", "no credits left", body=replies.INSUFFICIENT_CREDITS),
    Fault("model_not_found", "`Model id not found`", body=replies.MODEL_NOT_FOUND),
    Fault("messege", "an error whose text is in `messege` (sic)", body=replies.MESSEGE),
    Fault("validation", "an error whose `message` is an object of lists", body=replies.validation(replies.PROMPT_REQUIRED)),
    Fault("code", "an error that only the newer field `code` explains", body=replies.with_code,
          argument=("code", "rate_limited")),
)  # fmt: skip

_OF_PICTURES = (
    Fault("late", "404 for the first n requests, then the picture", 404, _page("404 Not Found"), content_type=HTML,
          manner="late", argument=("requests", 2)),
    Fault("late_seconds", "404 for so many seconds after the first request, then the picture", 404,
          _page("404 Not Found"), content_type=HTML, manner="late", argument=("seconds", 1.0)),
    _html("gone", 404, "404 Not Found"),
    _html("http_403", 403, "403 Forbidden"),
    Fault("http_429", _RATE_LIMIT, 429, "slow down", {"Retry-After": "{}"}, content_type="text/plain",
          argument=("retry_after", 1)),
    Fault("truncated", "the socket is closed after n bytes of the length told", manner="cut", argument=("bytes", 100)),
    Fault("truncated_whole", "only n bytes, and the length told matches them", manner="short", argument=("bytes", 100)),
    Fault("stalled", "half the picture, silence for so many seconds, then the socket is closed", manner="stalled",
          argument=("seconds", 3600.0)),
    Fault("wrong_type", "the picture under a wrong `Content-Type`", manner="relabelled", argument=("type", "text/plain")),
    Fault("wrong_suffix", "the link ends in a suffix that is not the picture's", manner="normal",
          argument=("suffix", ".jpg")),
    Fault("html_200", "an HTML page with HTTP 200", body=_page("Just a moment..."), content_type=HTML),
    Fault("html_as_picture", "an HTML page that says it is a PNG", body=_page("Just a moment..."), content_type="image/png"),
    Fault("huge", "a PNG signature, then zeros up to so many bytes", manner="huge", argument=("bytes", 10 * 2**30)),
    Fault("endless", "the same without a length told", manner="huge", argument=("bytes", 10 * 2**30)),
)  # fmt: skip

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ANYWHERE + _OF_THE_API}
PICTURE_FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ANYWHERE + _OF_PICTURES}
