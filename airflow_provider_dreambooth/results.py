# SPDX-License-Identifier: Apache-2.0
"""From what a user asks for to what lands in XCom: the same for hook, sensor and operators, in every mode."""

from __future__ import annotations

from typing import Any

from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.replies import Ready, Unavailable
from airflow_provider_dreambooth.api.request_ids import RequestList, parse_request_ids
from airflow_provider_dreambooth.api.submitting import Accepted
from airflow_provider_dreambooth.exceptions import (
    DreamboothError,
    DreamboothInputError,
    RequestFailure,
    error_for,
    failure,
)


def read_request_ids(value: object, name: str = "request_id") -> RequestList:
    """
    Read a user's ``request_id``, or another parameter of the same form.

    :raises DreamboothInputError: if there is no usable id in it. Nothing was sent.
    """
    try:
        return parse_request_ids(value, name)
    except ValueError as error:
        raise DreamboothInputError(f"{error} Nothing was sent.") from None


def submitted(accepted: Accepted) -> dict[str, Any]:
    """Make what a generation task returns of an accepted submit; ``submitted_at`` is in epoch seconds."""
    result: dict[str, Any] = {
        "request_id": accepted.request_id,
        "status": "success" if accepted.output else "processing",
        "eta": accepted.eta,
        "output": list(accepted.output),
        "meta": accepted.meta,
    }
    if accepted.submitted_at is not None and not accepted.output:  # what the eta counts from
        result["submitted_at"] = round(accepted.submitted_at, 3)
    if accepted.nsfw_content_detected is not None:
        result["nsfw_content_detected"] = accepted.nsfw_content_detected
    return result


def ready_results(batch: Batch, asked: RequestList) -> list[dict[str, Any]]:
    """Make the XCom dict of each ready request, in the order in which the user named them."""
    metas = {request.request_id: request.meta for request in asked.requests}
    return [
        _result(request_id, verdict, metas.get(request_id), alone=asked.single)
        for request_id in asked.order
        if isinstance(verdict := batch.verdicts.get(request_id), Ready)
    ]


def results_for(batch: Batch, asked: RequestList) -> Any:
    """Make the XCom of a batch in which everything is ready: a dict for one id, a list for a list."""
    results = ready_results(batch, asked)
    return results[0] if asked.single else results


def failures_of(batch: Batch, asked: RequestList) -> list[RequestFailure]:
    """Name each request that gave no pictures, and why, in the order in which the user named them."""
    verdicts = ((one.request_id, batch.verdicts.get(one.request_id)) for one in asked.requests)
    found = (failure(request_id, verdict) for request_id, verdict in verdicts if verdict)
    return [item for item in found if item is not None]


def error_of(
    batch: Batch, asked: RequestList, conn_id: str, *, kept: str = "in XCom 'ready'"
) -> DreamboothError | None:
    """Make the exception for a batch in which something failed; None if everything is ready."""
    failures = failures_of(batch, asked)
    if not failures:
        return None
    delays = [v.retry_after for v in batch.verdicts.values() if isinstance(v, Unavailable) and v.retry_after]
    return error_for(
        failures,
        conn_id=conn_id,
        total=len(batch.verdicts),
        retry_after=max(delays, default=None),
        ready=ready_results(batch, asked),
        kept=kept,
    )


def _result(request_id: str, ready: Ready, meta: Any, *, alone: bool) -> dict[str, Any]:
    result: dict[str, Any] = {
        "request_id": request_id,
        "status": "success",
        "output": list(ready.output),
        # Fetch does not repeat what the submit's reply told (seed, prompt used).
        "meta": ready.meta or meta,
        # The same pictures at another host: they would make a list of thousands twice as heavy.
        "proxy_links": list(ready.proxy_links) if alone else None,
        "nsfw_content_detected": ready.nsfw_content_detected,
    }
    return {key: value for key, value in result.items() if value not in (None, [])}
