# SPDX-License-Identifier: Apache-2.0
"""What each endpoint answers when nothing goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dreambooth.sandbox import published, replies
from airflow_provider_dreambooth.sandbox.journal import CURRENT
from airflow_provider_dreambooth.sandbox.orders import Order, read_order

if TYPE_CHECKING:
    from airflow_provider_dreambooth.sandbox.service import Service

Shape = Callable[[published.Reply], published.Reply]


@dataclass(frozen=True)
class Endpoint:
    """One path of the API: what it is for, in which dialect, and for submits the kind of picture."""

    path: str
    purpose: str
    dialect: str
    kind: str = ""


@dataclass(frozen=True)
class Question:
    """One request to the API, as far as it could be understood.

    :param base: the address under which the client sees the sandbox.
    :param body: empty if it could not be read.
    :param account: None if the key opens none.
    :param readable: whether it came as a JSON object that is called JSON.
    """

    endpoint: Endpoint
    base: str
    body: Mapping[str, Any]
    request_id: str
    account: int | None
    readable: bool


@dataclass(frozen=True)
class Answer:
    """``name`` is for the journal; the newer replies escape the slashes of their JSON."""

    name: str
    body: object
    http: int = 200
    escape_slashes: bool = False


TABLE = (
    Endpoint("/api/v3/dreambooth", "submit", "v3", "text2img"),
    Endpoint("/api/v3/dreambooth/fetch/{id}", "fetch", "v3"),
    Endpoint("/api/v3/system_load", "system_load", "v3"),
    Endpoint("/api/v4/dreambooth", "submit", "v4", "text2img"),
    Endpoint("/api/v4/dreambooth/img2img", "submit", "v4", "img2img"),
    Endpoint("/api/v4/dreambooth/inpaint", "submit", "v4", "inpaint"),
    Endpoint("/api/v4/dreambooth/fetch", "fetch", "v4"),
    Endpoint("/api/v4/dreambooth/model_reload", "model_reload", "v4"),
    Endpoint("/api/v4/dreambooth/model_list", "model_list", "v4"),
    Endpoint("/api/v6/images/text2img", "submit", "v6", "text2img"),
    Endpoint("/api/v6/images/img2img", "submit", "v6", "img2img"),
    Endpoint("/api/v6/images/inpaint", "submit", "v6", "inpaint"),
    Endpoint("/api/v6/images/fetch", "fetch", "v6"),
    Endpoint("/api/v6/images/fetch/{id}", "fetch", "v6"),
    Endpoint("/api/v6/images/model_reload", "model_reload", "v6"),
    Endpoint("/api/v6/processing/request_count", "request_count", "v6"),
)


def answer(service: Service, question: Question, shape: Shape | None = None) -> Answer:
    """The normal answer.

    :param shape: given if the pictures are to be ready whatever the clock says; it changes the reply.
    """
    if not question.readable:
        return Answer("invalid_request", published.INVALID_REQUEST)
    if question.account is None:
        return Answer("invalid_key", published.INVALID_KEY, service.settings.wrong_key_http)
    return _BY_PURPOSE[question.endpoint.purpose](service, question, shape)


def _fetch(service: Service, question: Question, shape: Shape | None) -> Answer:
    job = service.job(question.request_id, may_add=True)
    if job is None:
        return Answer("not_found", published.NOT_FOUND)
    if shape is not None:
        job.finish()
    if not job.ready:
        return Answer("processing", published.PROCESSING)
    reply = replies.fetch_success(question.endpoint.dialect, job, job.links(question.base))
    return Answer("success", shape(reply) if shape else reply)


def _submit(service: Service, question: Question, shape: Shape | None) -> Answer:
    order = read_order(question.endpoint.kind, question.body)
    if not isinstance(order, Order):
        return Answer("validation", published.validation(order))
    if not service.models.ready(order.model_id):
        return Answer("model_not_found", published.MODEL_NOT_FOUND)
    if service.plan_used_up(question.account):
        return Answer("monthly_limit", published.MONTHLY_LIMIT)
    limit = service.settings.max_queued
    if limit is not None and len(service.in_flight(question.account)) >= limit:
        return Answer("queue_full_2025", published.queue_full(limit, service.settings.queue_retry_after))
    if service.is_spam(question.endpoint.path, question.body, question.account):
        return Answer("rate_limit_2023", published.RATE_LIMIT_2023)
    job = service.submit(order, question.account or 0)
    CURRENT.get().request_id = job.request_id
    if shape is not None:
        job.finish()
    dialect, links = question.endpoint.dialect, job.links(question.base)
    if not job.ready:
        return Answer("processing", replies.submit_processing(dialect, job, question.base, links))
    reply = replies.submit_success(dialect, job, links)
    return Answer("success", shape(reply) if shape else reply, escape_slashes=dialect == "v6")


def _model_reload(service: Service, question: Question, _shape: Shape | None) -> Answer:
    model_id = str(question.body.get("model_id") or "")
    if model_id not in service.models:
        return Answer("model_not_found", published.MODEL_NOT_FOUND)
    service.models.reload(model_id)
    return Answer("model_reload", replies.model_reload(model_id))


def _model_list(service: Service, question: Question, _shape: Shape | None) -> Answer:
    models = service.models
    return Answer("model_list", [replies.model(name, models.status(name), question.base) for name in models])


def _system_load(service: Service, _question: Question, _shape: Shape | None) -> Answer:
    in_flight = service.in_flight()
    seconds = max((job.eta for job in in_flight), default=0)
    return Answer("system_load", replies.system_load(len(in_flight), seconds))


def _request_count(service: Service, question: Question, _shape: Shape | None) -> Answer:
    return Answer("request_count", replies.request_count(len(service.in_flight(question.account))))


_BY_PURPOSE: Mapping[str, Callable[[Service, Question, Shape | None], Answer]] = {
    "fetch": _fetch,
    "submit": _submit,
    "model_reload": _model_reload,
    "model_list": _model_list,
    "system_load": _system_load,
    "request_count": _request_count,
}
