# SPDX-License-Identifier: Apache-2.0
"""How an answer goes out over HTTP, and the ways in which it does not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from airflow_provider_dreambooth.sandbox.faults import JSON
from airflow_provider_dreambooth.sandbox.published import to_json
from airflow_provider_dreambooth.sandbox.silence import SILENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

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


async def instead(request: web.Request, plan: Plan) -> web.StreamResponse | None:
    """What goes out instead of the true answer; None, in due time, if the true answer is needed."""
    await asyncio.sleep(plan.delay)
    match plan.fault.manner:
        case "delay":
            await asyncio.sleep(plan.value)
        case "drop":
            return drop(request)
        case "hang":
            await request.app[SILENCE].keep(plan.value)
            return drop(request)
        case "huge":
            return await zeros(request, plan.value, tell_length=plan.fault.name == "huge")
        case "redirect":
            headers = {**plan.headers, "Location": plan.value}
            return reply(plan.body, plan.http, headers, plan.fault.content_type)
        case "reply" | "late":
            own_words = plan.fault.name == "raw" and isinstance(plan.body, str)
            content_type = "text/plain" if own_words else plan.fault.content_type
            return reply(plan.body, plan.http, plan.headers, content_type)
    return None


def drop(request: web.Request) -> web.Response:
    """Close the socket; the response that is returned never leaves."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def part(
    request: web.Request, body: bytes, content_type: str, count: int, *, silence: float = 0
) -> web.StreamResponse:
    """Tell the length of ``body``, send ``count`` bytes of it, be silent (seconds), and close the socket."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[:count])
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
