# SPDX-License-Identifier: Apache-2.0
"""What the service, or the net on the way, can do wrong, as data: faults of the API and of its pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_dreambooth.sandbox import published

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

JSON, HTML = "application/json", "text/html; charset=UTF-8"

Manner = Literal[
    "reply", "normal", "success", "drop", "cut", "hang", "delay", "redirect",  # of any request
    "late", "stalled", "short", "huge", "relabelled",  # of pictures only
]  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong.

    :param manner: how it is sent; ``reply`` sends ``http``, ``headers`` and ``body``.
    :param body: JSON-able, or a string that is sent as it is, or a function that makes it from the argument.
        With manner ``success`` a function of the finished reply, which it changes.
    :param argument: the name and the default of the option that may follow the name after a colon.
    :param carried_out: whether the request is carried out before: a submit is accepted, and so billed.
    """

    name: str
    about: str
    http: int = 200
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    manner: Manner = "reply"
    argument: tuple[str, Any] | None = None
    carried_out: bool = False


def _manner(manner: Manner, name: str, about: str, argument: tuple[str, Any] | None = None) -> Fault:
    return Fault(name, about, manner=manner, argument=argument)


def _billed(name: str, about: str, fault: Fault) -> Fault:
    return replace(
        fault, name=f"billed_then_{name}", about=f"a submit is accepted, then {about}", carried_out=True
    )


def _json(name: str, about: str, body: object, http: int = 200) -> Fault:
    return Fault(name, about, http, body)


def _page(title: str) -> str:
    return f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"


def _html(name: str, http: int, title: str) -> Fault:
    return Fault(name, f"HTTP {http} with an HTML page", http, _page(title), content_type=HTML)


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


def _success(name: str, about: str, change: Callable[[published.Reply], dict[str, object]]) -> Fault:
    return Fault(name, about, body=lambda reply: {**reply, **change(reply)}, manner="success")


def _first_link(reply: published.Reply) -> dict[str, object]:
    output = reply["output"]
    return {"output": output[0] if isinstance(output, list) and output else output}


def _newer(reply: published.Reply, nsfw: bool = False) -> dict[str, object]:
    return {"proxy_links": reply["output"], "nsfw_content_detected": nsfw}


def _late(name: str, about: str, argument: tuple[str, Any]) -> Fault:
    return Fault(name, about, 404, _page("404 Not Found"), {}, HTML, "late", argument)


_BUSY = _page("Just a moment...")
_HTML_200 = _html("html_200", 200, "Just a moment...")
_HTTP_429 = Fault(
    "http_429",
    "HTTP 429 with a `Retry-After` header (seconds)",
    429,
    {"message": "Too Many Attempts."},
    {"Retry-After": "{}"},
    argument=("retry_after", 1),
)
_DROP = _manner("drop", "drop", "the socket is closed without an answer")
_HANG = _manner("hang", "hang", "silence for so many seconds, then the socket is closed", ("seconds", 3600))
_ANYWHERE = (
    _manner("normal", "ok", "no fault: the normal answer (a place-holder in a list)"),
    Fault("raw", "an answer of your own: give `http`, `body`, `headers`"),
    _DROP,
    Fault(
        "lost",
        "the request is carried out, then the socket is closed without an answer",
        manner="drop",
        carried_out=True,
    ),
    _HANG,
    _manner("delay", "delay", "the normal answer, so many seconds late", ("seconds", 1)),
    Fault("empty_body", "HTTP 200 and nothing"),
    _HTML_200,
    _HTTP_429,
    _html("http_403_html", 403, "403 Forbidden"),
    _html("http_404_html", 404, "404 Not Found"),
    _html("http_500", 500, "500 Internal Server Error"),
    _html("http_502", 502, "502 Bad Gateway"),
    _html("http_503", 503, "503 Service Temporarily Unavailable"),
    *(_redirect(http) for http in (301, 302, 307, 308)),
)
_OF_THE_API = (
    _billed("hang", "silence for so many seconds, then the socket is closed", _HANG),
    _billed("drop", "the socket is closed without an answer (as `lost`)", _DROP),
    _billed(
        "500", "HTTP 500 with an HTML page (or what `http` says)", _html("", 500, "500 Internal Server Error")
    ),
    _billed(
        "garbage",
        "HTTP 200 with JSON that ends in the middle of the id",
        _json("", "", '{"status": "processing", "id": 1'),
    ),
    _json("processing", "not ready yet", published.PROCESSING),
    _success("success", "ready, whatever the clock says", lambda _: {}),
    _success("success_newer", "ready, with `proxy_links` and `nsfw_content_detected`", _newer),
    _success(
        "success_nsfw", "ready, `nsfw_content_detected` is true", lambda reply: _newer(reply, nsfw=True)
    ),
    _success("success_proxy_empty", 'ready, `proxy_links` is `""`', lambda _: {"proxy_links": ""}),
    _success("success_empty_list", "ready, but `output` is `[]`", lambda _: {"output": []}),
    _success("success_empty_string", 'ready, but `output` is `""`', lambda _: {"output": ""}),
    _success("success_string", "ready, `output` is one plain URL", _first_link),
    _json("not_found", "`Request not found`", published.NOT_FOUND),
    _json("job_failed", "`Failed, Try Again`: the job is lost", published.JOB_FAILED),
    _json("rate_limit_2023", "the spam filter of 2023", published.RATE_LIMIT_2023),
    Fault(
        "queue_full_2025",
        "too many queued requests, with `retry_after` in the body",
        body=lambda seconds: published.queue_full(retry_after=seconds),
        argument=("retry_after", 30),
    ),
    _json("server_error", "Laravel's HTTP 500, JSON without `status`", published.SERVER_ERROR, 500),
    _json("not_json", "HTTP 200, called JSON, but it is not", "Whoops, looks like something went wrong."),
    _json("half_json", "HTTP 200, whole, but the JSON ends in the middle", '{"status": "succ'),
    _json("json_list", "HTTP 200, JSON, but a list", []),
    _manner("cut", "cut", "half the body, then the socket is closed"),
    _json("invalid_key", "`Invalid Api Key` with HTTP 200", published.INVALID_KEY),
    _json("invalid_request", "`Invalid API Request`", published.INVALID_REQUEST),
    _json("http_401", "`Invalid Api Key` with HTTP 401", published.INVALID_KEY, 401),
    _json("http_403", "HTTP 403 with JSON", {"status": "error", "message": "Access denied"}, 403),
    _json("http_404", "HTTP 404 with JSON, no `status`", published.route_not_found("api"), 404),
    _json("monthly_limit", "`Your monthly limit exceeded`: the quota is used up", published.MONTHLY_LIMIT),
    _json("insufficient_credits", "no credits left", published.INSUFFICIENT_CREDITS),
    _json("model_not_found", "`Model id not found`", published.MODEL_NOT_FOUND),
    _json("messege", "an error whose text is in `messege` (sic)", published.MESSEGE),
    _json("validation", "an error whose `message` is an object of lists", published.VALIDATION),
    Fault(
        "code",
        "an error that only the newer field `code` explains",
        body=published.with_code,
        argument=("code", "rate_limited"),
    ),
)
_OF_PICTURES = (
    _late("late", "404 for the first n requests, then the picture", ("requests", 2)),
    _late(
        "late_seconds", "404 for so many seconds from the first request on, then the picture", ("seconds", 1)
    ),
    _html("gone", 404, "404 Not Found"),
    _html("http_403", 403, "403 Forbidden"),
    _manner("cut", "truncated", "the socket is closed after n bytes of the length told", ("bytes", 100)),
    _manner("short", "truncated_whole", "only n bytes, and the length told matches them", ("bytes", 100)),
    _manner("stalled", "stalled", "half of it, silence for so many seconds, then closed", ("seconds", 3600)),
    _manner("relabelled", "wrong_type", "the picture under a wrong `Content-Type`", ("type", "text/plain")),
    _manner("normal", "wrong_suffix", "the link has a suffix that is not the picture's", ("suffix", ".jpg")),
    Fault("html_as_picture", "an HTML page that says it is a PNG", body=_BUSY, content_type="image/png"),
    _manner("huge", "huge", "a PNG signature, then zeros up to so many bytes", ("bytes", 10 * 2**30)),
    _manner("huge", "endless", "the same without a length told", ("bytes", 10 * 2**30)),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ANYWHERE + _OF_THE_API}
PICTURE_FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ANYWHERE + _OF_PICTURES}

# What a good client lives through, without a long wait: the faults at random are drawn from these.
TRANSIENT = (
    "processing", "drop", "cut", "html_200", "empty_body", "http_429", "http_500", "http_502", "http_503",
    "server_error", "not_json",
)  # fmt: skip
