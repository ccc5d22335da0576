# SPDX-License-Identifier: Apache-2.0
"""The output links: pictures under ``/pictures``, served well or badly."""

from __future__ import annotations

import asyncio
import base64
import re
import time

from aiohttp import web

from airflow_provider_dreambooth.sandbox import sending
from airflow_provider_dreambooth.sandbox.faults import HTML, PICTURE_FAULTS
from airflow_provider_dreambooth.sandbox.jobs import Job
from airflow_provider_dreambooth.sandbox.journal import CURRENT, Record
from airflow_provider_dreambooth.sandbox.script import Plan
from airflow_provider_dreambooth.sandbox.service import Service

MODEL_PICTURE = (256, 256)


def routes(service: Service) -> list[web.RouteDef]:
    async def picture(request: web.Request) -> web.StreamResponse:
        name = re.fullmatch(r"([0-9a-f-]{36})-(\d+)\.\w+", request.match_info["name"])
        job = service.job_of_picture(name[1]) if name else None
        index = int(name[2]) if name else 0
        record = CURRENT.get()
        if job is None or not job.ready or index >= job.order.samples:
            record.answered_as = "no_picture"
            return _missing()
        record.request_id = job.request_id
        return await _serve(request, job, index, record)

    async def model(request: web.Request) -> web.StreamResponse:
        CURRENT.get().answered_as = "picture"
        return sending.reply(
            await _draw("model", request.match_info["name"], 1, *MODEL_PICTURE), content_type="image/png"
        )

    return [web.get("/pictures/generations/{name}", picture), web.get("/pictures/models/{name}.png", model)]


async def _serve(request: web.Request, job: Job, index: int, record: Record) -> web.StreamResponse:
    plan = job.picture_faults[index].next() if index < len(job.picture_faults) else None
    job.picture_requests[index] += 1
    first = job.picture_first[index] = job.picture_first[index] or time.monotonic()
    if plan is None or (
        plan.fault.manner == "late" and not _still_late(plan, job.picture_requests[index], first)
    ):
        record.answered_as = "picture"
        return await _file(job, index)
    record.answered_as = plan.fault.name
    await asyncio.sleep(plan.delay)
    match plan.fault.manner:
        case "drop":
            return sending.drop(request)
        case "hang":
            return await sending.hang(request, plan.value)
        case "huge":
            return await sending.zeros(request, plan.value, tell_length=plan.fault.name == "huge")
        case "reply" | "late" | "redirect":
            return sending.as_planned(plan)
    whole = await _file(job, index)
    assert isinstance(whole.body, bytes)
    match plan.fault.manner:
        case "delay":
            await asyncio.sleep(plan.value)
        case "lost":
            return sending.drop(request)
        case "cut":
            return await sending.part(request, whole, plan.value)
        case "stalled":
            return await sending.part(request, whole, len(whole.body) // 2, silence=plan.value)
        case "short":
            whole.body = whole.body[: plan.value]
        case "relabelled":
            whole.headers["Content-Type"] = plan.value
    return whole


def _still_late(plan: Plan, requests: int, first: float) -> bool:
    late_by_count = plan.fault is PICTURE_FAULTS["late"]
    return bool(requests <= plan.value if late_by_count else time.monotonic() - first < plan.value)


def _missing() -> web.Response:
    return sending.reply(PICTURE_FAULTS["gone"].body, 404, content_type=HTML)


async def _file(job: Job, index: int) -> web.Response:
    order = job.order
    title = f"{job.request_id} · {index}"
    picture = await _draw(title, order.prompt, order.seed + index, order.width, order.height, order.format)
    if order.base64:
        return sending.reply(base64.b64encode(picture), content_type="text/plain")
    return sending.reply(picture, content_type=f"image/{order.format}")


async def _draw(title: str, prompt: str, seed: int, width: int, height: int, format: str = "png") -> bytes:  # noqa: A002
    # Pillow is an extra and slow to import: it is loaded when the first picture is drawn, off the loop.
    from airflow_provider_dreambooth.sandbox.drawing import draw

    return await asyncio.to_thread(draw, title, prompt, seed, width, height, format)
