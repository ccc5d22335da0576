# SPDX-License-Identifier: Apache-2.0
"""What a user may write as ``request_id``, turned into the requests to wait for."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow_provider_dreambooth.api import wording
from airflow_provider_dreambooth.api.replies import Ready, parse_document, read_eta, read_meta
from airflow_provider_dreambooth.api.reply_ids import REQUEST_ID

EXPECTED = (
    "Give an id (13443927 or '13443927'), a list of ids, or what a generation task returned "
    "(a dict with 'request_id'), for example request_id=submit.output."
)


@dataclass(frozen=True)
class Requested:
    """
    One request to wait for, and what its submit's reply already told.

    :param eta: seconds from the submit to readiness, as the service estimated them.
    :param submitted_at: epoch seconds.
    """

    request_id: str
    eta: float | None = None
    submitted_at: float | None = None
    meta: Mapping[str, Any] | None = None
    ready: Ready | None = None


@dataclass(frozen=True)
class RequestList:
    """The distinct requests, and the order (with repeats) in which the user named them."""

    requests: tuple[Requested, ...]
    order: tuple[str, ...]
    single: bool


def parse_request_ids(value: object, name: str = "request_id") -> RequestList:
    """
    Read the user's ``request_id``.

    :param value: an int, a string, a mapping with ``request_id`` (or the service's ``id``), or a
        sequence of these. A string that a template rendered from a list or dict is read back.
    :param name: of the parameter, for messages.
    :raises ValueError: if there is no usable id in it; the message names the place and what to give.
    """
    value = undo_rendering(value)
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes, bytearray, Mapping)):
        one = _requested(value, name)
        return RequestList((one,), (one.request_id,), single=True)
    several = [_requested(undo_rendering(item), f"{name}[{index}]") for index, item in enumerate(value)]
    if not several:
        raise ValueError(f"{name} is an empty list: there is nothing to wait for. {EXPECTED}")
    distinct: dict[str, Requested] = {}
    for item in several:
        if item.ready or item.request_id not in distinct:
            distinct[item.request_id] = item
    return RequestList(tuple(distinct.values()), tuple(item.request_id for item in several), single=False)


def undo_rendering(value: object) -> object:
    """Jinja renders a list as its Python text (with ``| tojson`` as JSON) unless the DAG renders natively."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{", "("):
        for read in (json.loads, ast.literal_eval):
            with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                return read(value.strip())
    return value


def _requested(value: object, place: str) -> Requested:
    if isinstance(value, Mapping):
        request_id = value.get("id") if value.get("request_id") is None else value["request_id"]
        if request_id is None:
            keys = ", ".join(wording.one_line(key, 40) for key in list(value)[:10])
            raise ValueError(f"{place} is a dict without 'request_id' (its keys: {keys}). {EXPECTED}")
        ready = parse_document(value)
        return Requested(
            _checked(request_id, f"{place}['request_id']"),
            eta=read_eta(value.get("eta")),
            submitted_at=read_eta(value.get("submitted_at")),
            meta=read_meta(value),
            ready=ready if isinstance(ready, Ready) else None,
        )
    return Requested(_checked(value, place))


def _checked(value: object, place: str) -> str:
    if value is None or value == "" or (isinstance(value, str) and value.strip() in ("", "None")):
        raise ValueError(f"{place} is {value!r}: the task that should give the id gave none. {EXPECTED}")
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{place} is of type {type(value).__name__}. {EXPECTED}")
    text = str(value).strip() if isinstance(value, str) else _digits(value, place)
    if not REQUEST_ID.fullmatch(text):
        raise ValueError(
            f"{place} is {text[:80]!r}, which is no request id (letters, digits, '-' and '_'). {EXPECTED}"
        )
    return text


def _digits(value: int, place: str) -> str:
    if not 0 <= value < 10**100:
        raise ValueError(f"{place} is a number that is no request id. {EXPECTED}")
    return str(value)
