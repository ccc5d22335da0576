# SPDX-License-Identifier: Apache-2.0
"""What a test or a demo may wish of a request that it adds to the sandbox."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from airflow_provider_dreambooth.sandbox.orders import Order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_dreambooth.sandbox.jobs import Job
    from airflow_provider_dreambooth.sandbox.script import Spec
    from airflow_provider_dreambooth.sandbox.service import Service


class Wishes(TypedDict, total=False):
    """Everything about a request; nothing is required."""

    prompt: str
    negative_prompt: str
    model_id: str
    samples: int  # pictures
    seed: int | None  # None: it follows from the id
    width: int
    height: int
    safety_checker: str  # "yes": blank pictures for an unsafe prompt
    format: str  # png, jpeg or webp
    base64: bool  # links to base64 text instead of pictures
    request_id: int | str | None  # None: the next free one
    ready_in: float  # seconds of run time, default 0; math.inf waits for Sandbox.finish()
    eta: float | None  # seconds, if the eta told is to be wrong
    replies: Spec | Sequence[Spec]  # faults, used up one by one by the fetches before the normal answers
    ends_as: Spec  # what a fetch answers when the run time is over, default success
    picture_faults: Spec | Sequence[Spec | Sequence[Spec]]  # one entry a picture
    output: Any  # any JSON value instead of the true links


ORDER = Wishes.__annotations__.keys() & {field.name for field in fields(Order)}


def add(service: Service, **wishes: Unpack[Wishes]) -> Job:
    """Add a job.

    :raises ValueError: for an unknown name, an unknown fault or a bad value.
    """
    unknown = wishes.keys() - Wishes.__annotations__.keys()
    if unknown:
        raise ValueError(f"A request has no {', '.join(sorted(unknown))}.")
    order: dict[str, Any] = {
        name: value for name, value in wishes.items() if name in ORDER and value is not None
    }
    job: dict[str, Any] = {name: value for name, value in wishes.items() if name not in ORDER}
    return service.add(Order(**order), **{"ready_in": 0.0, **job})
