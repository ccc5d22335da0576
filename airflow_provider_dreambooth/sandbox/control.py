# SPDX-License-Identifier: Apache-2.0
"""The sandbox's own endpoints: what :class:`Sandbox` can do, for another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_dreambooth.sandbox.wishes import add

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_dreambooth.sandbox.service import Service

PREFIX = "/sandbox/"
DONE = {"status": "ok"}


def routes(service: Service) -> list[web.RouteDef]:
    """Return the routes under ``/sandbox``."""
    return [*_acts(service), *_views(service)]


def _acts(service: Service) -> list[web.RouteDef]:
    """What changes something: POST with a JSON object."""

    def requests(wishes: dict[str, Any]) -> object:
        job = add(service, **wishes)
        return {"request_id": job.request_id, "eta": job.eta}

    def script(wishes: dict[str, Any]) -> object:
        service.script(wishes["endpoint"], wishes["replies"])
        return DONE

    def key(wishes: dict[str, Any]) -> object:
        service.set_keys([wishes["key"]])
        return DONE

    def finish(wishes: dict[str, Any]) -> object:
        for job in [service.jobs[str(request_id)] for request_id in wishes["request_ids"]]:
            job.finish()
        return DONE

    def sleep(wishes: dict[str, Any]) -> object:
        service.models.put_to_sleep(wishes["model_id"])
        return DONE

    def release(_: dict[str, Any]) -> object:
        return {"released": service.silence.end()}

    return [_act(act) for act in (requests, finish, script, key, sleep, release)]


def _act(act: Callable[[dict[str, Any]], object]) -> web.RouteDef:
    async def handle(request: web.Request) -> web.Response:
        try:
            return web.json_response(act(await request.json()))
        except (ValueError, TypeError, KeyError) as err:
            return web.json_response({"error": str(err) or type(err).__name__}, status=400)

    return web.post(PREFIX + act.__name__, handle)


def _views(service: Service) -> list[web.RouteDef]:
    """What only tells something: GET."""

    def journal(_: web.Request) -> object:
        return [record.to_dict() for record in service.journal()]

    def submits(_: web.Request) -> object:
        return [submit._asdict() for submit in service.submits()]

    def billing(_: web.Request) -> object:
        # Numbers of accounts instead of keys: what is told here ends up in logs.
        return {"accepted": service.accepted(), "accounts": service.billing()}

    def hanging(_: web.Request) -> object:
        return {"hanging": len(service.silence)}

    def one(request: web.Request) -> object:
        job = service.job(request.match_info["id"])
        if job is None:
            raise web.HTTPNotFound
        return {
            "request_id": job.request_id,
            "ready": job.ready,
            "ready_at": job.ready_time,
            "fetches": service.fetches(job.request_id),
            "picture_requests": job.picture_requests,
        }

    return [
        _view("requests/{id}", one),
        *(_view(tell.__name__, tell) for tell in (journal, submits, billing, hanging)),
    ]


def _view(path: str, tell: Callable[[web.Request], object]) -> web.RouteDef:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(tell(request))

    return web.get(PREFIX + path, handle)
