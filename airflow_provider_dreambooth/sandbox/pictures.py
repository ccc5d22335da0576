# SPDX-License-Identifier: Apache-2.0
"""The output links: pictures under ``/pictures``, served well or badly."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from typing import TYPE_CHECKING

from aiohttp import web

from airflow_provider_dreambooth.sandbox import sending
from airflow_provider_dreambooth.sandbox.faults import HTML, PICTURE_FAULTS
from airflow_provider_dreambooth.sandbox.journal import CURRENT

if TYPE_CHECKING:
    from airflow_provider_dreambooth.sandbox.jobs import Job
    from airflow_provider_dreambooth.sandbox.script import Plan
    from airflow_provider_dreambooth.sandbox.service import Service

MODEL_PICTURE = (256, 256)


def routes(service: Service) -> list[web.RouteDef]:
    """Return the routes under ``/pictures``."""

    async def picture(request: web.Request) -> web.StreamResponse:
        name = re.fullmatch(r"([0-9a-f-]{36})-(\d+)\.\w+", request.match_info["name"])
        job = service.job_of_picture(name[1]) if name else None
        index = int(name[2]) if name else 0
        record = CURRENT.get()
        if job is None or not job.ready or index >= job.order.samples:
            record.answered_as = "no_picture"
            return _missing()
        record.request_id = job.request_id
        return await _serve(request, job, index)

    async def model(request: web.Request) -> web.StreamResponse:
        CURRENT.get().answered_as = "picture"
        from airflow_provider_dreambooth.sandbox.drawing import draw

        body = await asyncio.to_thread(draw, "model", request.match_info["name"], 1, *MODEL_PICTURE)
        return sending.reply(body, content_type="image/png")

    return [web.get("/pictures/generations/{name}", picture), web.get("/pictures/models/{name}.png", model)]


async def _serve(request: web.Request, job: Job, index: int) -> web.StreamResponse:
    record, plan = CURRENT.get(), _plan(job, index)
    if plan is None:
        record.answered_as = "picture"
        body, content_type = await _file(job, index)
        return sending.reply(body, content_type=content_type)
    record.answered_as = plan.fault.name
    instead = await sending.instead(request, plan)
    if instead is not None:
        return instead
    body, content_type = await _file(job, index)
    match plan.fault.manner:
        case "cut":
            return await sending.part(request, body, content_type, plan.value)
        case "stalled":
            return await sending.part(request, body, content_type, len(body) // 2, silence=plan.value)
        case "short":
            body = body[: plan.value]
        case "relabelled":
            content_type = plan.value
    return sending.reply(body, content_type=content_type)


def _plan(job: Job, index: int) -> Plan | None:
    """Count the request, and say what is to go wrong with it."""
    job.picture_requests[index] += 1
    first = job.picture_first[index] = job.picture_first[index] or time.monotonic()
    plan = job.picture_faults[index].next() if index < len(job.picture_faults) else None
    if plan is None or plan.fault.manner == "normal":
        return None
    if plan.fault.name == "late" and job.picture_requests[index] > plan.value:
        return None
    if plan.fault.name == "late_seconds" and time.monotonic() - first > plan.value:
        return None
    return plan


def _missing() -> web.Response:
    return sending.reply(PICTURE_FAULTS["gone"].body, 404, content_type=HTML)


async def _file(job: Job, index: int) -> tuple[bytes, str]:
    """The bytes of a picture and their true content type."""
    order = job.order
    picture = await _draw(job, index)
    if order.base64:
        return base64.b64encode(picture), "text/plain"
    return picture, f"image/{order.format}"


async def _draw(job: Job, index: int) -> bytes:
    # Pillow is an extra and slow to import: it is loaded when the first picture is drawn, off the loop.
    from airflow_provider_dreambooth.sandbox.drawing import blank, draw

    order = job.order
    if order.censored:
        return await asyncio.to_thread(blank, order.width, order.height, order.format)
    seed = (order.seed or 0) + index
    title = f"{job.request_id} · {index}\n{order.kind} · seed {seed}"
    return await asyncio.to_thread(
        draw, title, order.prompt, seed, order.width, order.height, order.format, order.kind
    )
