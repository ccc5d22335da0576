# SPDX-License-Identifier: Apache-2.0
"""The sandbox's own endpoints: what :class:`Sandbox` can do, for another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_dreambooth.sandbox.wishes import add

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_dreambooth.sandbox.service import Service

PREFIX = "/sandbox/"


def routes(service: Service) -> list[web.RouteDef]:
    """Return the routes under ``/sandbox``."""

    def said(act: Callable[[dict[str, Any]], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                return web.json_response(act(await request.json()))
            except (ValueError, TypeError, KeyError) as err:
                return web.json_response({"error": str(err) or type(err).__name__}, status=400)

        return handle

    def requests(wishes: dict[str, Any]) -> object:
        job = add(service, **wishes)
        return {"request_id": job.request_id, "eta": job.eta}

    def script(wishes: dict[str, Any]) -> object:
        service.script(wishes["endpoint"], wishes["replies"])
        return {"status": "ok"}

    def key(wishes: dict[str, Any]) -> object:
        service.set_keys([wishes["key"]])
        return {"status": "ok"}

    async def journal(_: web.Request) -> web.Response:
        return web.json_response([record.to_dict() for record in service.journal()])

    async def one(request: web.Request) -> web.Response:
        job = service.job(request.match_info["id"])
        if job is None:
            raise web.HTTPNotFound
        return web.json_response(
            {
                "request_id": job.request_id,
                "ready": job.ready,
                "ready_at": job.ready_time,
                "fetches": service.fetches(job.request_id),
                "picture_requests": job.picture_requests,
            }
        )

    return [
        web.post(PREFIX + "requests", said(requests)),
        web.get(PREFIX + "requests/{id}", one),
        web.post(PREFIX + "script", said(script)),
        web.get(PREFIX + "journal", journal),
        web.post(PREFIX + "key", said(key)),
    ]
