# SPDX-License-Identifier: Apache-2.0
"""The API over HTTP: reads a request, checks the key, and answers as planned or as the endpoint does."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_dreambooth.sandbox import control, pictures, published, sending
from airflow_provider_dreambooth.sandbox.endpoints import TABLE, Answer, Endpoint, Question, answer
from airflow_provider_dreambooth.sandbox.faults import JSON
from airflow_provider_dreambooth.sandbox.journal import CURRENT, Record
from airflow_provider_dreambooth.sandbox.silence import SILENCE

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

    from airflow_provider_dreambooth.sandbox.script import Plan
    from airflow_provider_dreambooth.sandbox.service import Service

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BODY_LIMIT = 64 * 2**20  # a submit may carry pictures as base64


def build_app(service: Service) -> web.Application:
    """The whole sandbox as an aiohttp application."""
    app = web.Application(middlewares=[_journal(service)], client_max_size=BODY_LIMIT)
    app[SILENCE] = service.silence
    app.router.add_routes([web.post(endpoint.path, _handler(service, endpoint)) for endpoint in TABLE])
    app.router.add_routes(pictures.routes(service))
    app.router.add_routes(control.routes(service))
    return app


def _journal(service: Service) -> Middleware:
    """Writes every request to the journal, and says 404 and 405 as Laravel does."""

    @web.middleware
    async def keep(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(control.PREFIX):
            return await handler(request)
        body = await _json(request)
        peer = request.transport.get_extra_info("peername") if request.transport else None
        record = Record(time.time(), request.method, request.path, peer[1] if peer else 0)
        key = body.get("key") if isinstance(body, dict) else None
        record.key_ok = None if key is None else service.account(key) is not None
        CURRENT.set(record)
        service.write(record)
        try:
            response = await handler(request)
        except web.HTTPMethodNotAllowed as err:
            supported = ", ".join(sorted(err.allowed_methods))
            record.answered_as = "method_not_allowed"
            text = published.method_not_allowed(request.method, request.path, supported)
            response = sending.reply(text, 405, {"Allow": supported})
        except web.HTTPNotFound:
            record.answered_as = "route_not_found"
            response = sending.reply(published.route_not_found(request.path), 404)
        gone = request.transport is None or request.transport.is_closing()
        record.http = None if gone and not response.prepared else response.status
        return response

    return keep


async def _json(request: web.Request) -> Any:
    """The body, None if it is not JSON or not called so."""
    if request.content_type != "application/json":
        return None
    try:
        return json.loads(await request.read())
    except ValueError:
        return None


def _handler(service: Service, endpoint: Endpoint) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        record, body = CURRENT.get(), await _json(request)
        readable = isinstance(body, dict)
        known = body if readable else {}
        if endpoint.purpose == "fetch":
            record.request_id = str(request.match_info.get("id") or known.get("request_id") or "")
            service.count_fetch(record.request_id)
        question = Question(
            endpoint,
            base=str(request.url.origin()),
            body=known,
            request_id=record.request_id or "",
            account=service.account(known.get("key")),
            readable=readable,
        )
        if endpoint.purpose == "submit":
            service.write_submit(record, known, question.account)
        return await _play(request, service, question, _plan(service, question))

    return handle


def _plan(service: Service, question: Question) -> Plan | None:
    """What is to go wrong with this request: as scripted for the endpoint, else because of its id."""
    scripted = service.scripted(question.endpoint.purpose)
    if scripted is not None or question.endpoint.purpose != "fetch" or question.account is None:
        return scripted
    job = service.job(question.request_id, may_add=True)
    if job is None:
        return None
    return service.fault_of_fetch(job) or (job.ends_as if job.ready else None)


async def _play(
    request: web.Request, service: Service, question: Question, plan: Plan | None
) -> web.StreamResponse:
    """Answer normally, or as planned."""
    record = CURRENT.get()
    if plan is None:
        return _send(record, answer(service, question))
    record.answered_as = plan.fault.name
    if plan.fault.carried_out:
        answer(service, question)
    instead = await sending.instead(request, plan)
    if instead is not None:
        return instead
    shape = plan.body if plan.fault.manner == "success" else None
    said = answer(service, question, shape)
    if plan.fault.manner == "cut":
        body = published.to_json(said.body)
        return await sending.part(request, body, JSON, len(body) // 2)
    # A fault that makes a success out of the answer has its name only where there is a job to be ready.
    name = plan.fault.name if shape and said.name == "success" else said.name
    return _send(record, replace(said, name=name, http=plan.http), plan.headers)


def _send(record: Record, said: Answer, headers: Mapping[str, str] | None = None) -> web.Response:
    record.answered_as = said.name
    return sending.reply(said.body, said.http, headers, escape_slashes=said.escape_slashes)
