# SPDX-License-Identifier: Apache-2.0
"""How an answer goes out over HTTP, and the ways in which it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from airflow_provider_dreambooth.sandbox.faults import JSON, Fault
from airflow_provider_dreambooth.sandbox.replies import to_json
from airflow_provider_dreambooth.sandbox.script import Plan

CHUNK = 64 * 1024
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def reply(
    body: object,
    http: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
    *,
    escape_slashes: bool = False,
) -> web.Response:
    """An answer: bytes and strings as they are, everything else as JSON."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = to_json(body, escape_slashes=escape_slashes)
    return web.Response(body=body, status=http, headers={"Content-Type": content_type, **(headers or {})})


def as_planned(plan: Plan) -> web.Response:
    """The answer of a fault whose manner is ``reply``, ``late`` or ``redirect``."""
    headers = dict(plan.headers)
    if plan.fault.manner == "redirect":
        headers["Location"] = plan.value
    return reply(plan.body, plan.http, headers, _content_type(plan.fault, plan.body))


def _content_type(fault: Fault, body: object) -> str:
    if fault.name == "raw" and isinstance(body, str):
        return "text/plain"
    return fault.content_type


def drop(request: web.Request) -> web.Response:
    """Close the socket; the response that is returned never leaves."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def hang(request: web.Request, seconds: float) -> web.Response:
    """Say nothing for a while, then close the socket."""
    await asyncio.sleep(seconds)
    return drop(request)


async def part(
    request: web.Request, whole: web.Response, count: int, *, silence: float = 0
) -> web.StreamResponse:
    """Tell the length of ``whole``, send ``count`` bytes of it, be silent (seconds), and close the socket."""
    assert isinstance(whole.body, bytes)
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    response.content_length = len(whole.body)
    await response.prepare(request)
    await response.write(whole.body[:count])
    await asyncio.sleep(silence)
    drop(request)
    return response


async def zeros(request: web.Request, count: int, *, tell_length: bool) -> web.StreamResponse:
    """What begins like a PNG and goes on with zeros, up to ``count`` bytes."""
    response = web.StreamResponse(headers={"Content-Type": "image/png"})
    if tell_length:
        response.content_length = count
    await response.prepare(request)
    await response.write(PNG_SIGNATURE[:count])
    left, chunk = count - len(PNG_SIGNATURE), bytes(CHUNK)
    while left > 0:
        await response.write(chunk[:left])
        left -= CHUNK
    await response.write_eof()
    return response
