# SPDX-License-Identifier: Apache-2.0
"""What is known of a picture beside its bytes: how it was made, and what the service's own check said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pendulum


@dataclass(frozen=True)
class Provenance:
    """
    How a picture was made, as far as it is known.

    :param model: id of the model.
    :param seed: of the request; its pictures differ by what the service adds to it.
    :param prompt: as the service used it. Not in the repr: it may be confidential.
    :param nsfw: what the service's own check found; None if it did not say.
    """

    model: str | None = None
    seed: int | None = None
    prompt: str | None = field(default=None, repr=False)
    nsfw: bool | None = None


def provenance_of(result: Mapping[str, Any], index: int, *, include_prompt: bool) -> Provenance:
    """
    Read what a request's result tells of one of its pictures; whatever has another form is not known.

    :param result: as in XCom. Its ``meta`` is that of the submit's reply, which fetch does not repeat: it is
        there if the sensor was given what a generation task returned.
    :param index: of the picture, from 0.
    :param include_prompt: whether the prompt may be kept.
    """
    meta = result.get("meta")
    if not isinstance(meta, Mapping):
        meta = {}
    nsfw = result.get("nsfw_content_detected")
    if isinstance(nsfw, list):  # one for each picture
        nsfw = nsfw[index] if index < len(nsfw) else None
    model, seed, prompt = meta.get("model_id"), meta.get("seed"), meta.get("prompt")
    return Provenance(
        model=model if isinstance(model, str) and model else None,
        seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        prompt=prompt if include_prompt and isinstance(prompt, str) and prompt else None,
        nsfw=nsfw if isinstance(nsfw, bool) else None,
    )


def day_of(dag_run: Any) -> str:
    """Give the day of a DAG run, ``YYYY-MM-DD`` in UTC: that of its logical date, if it has one."""
    moment = getattr(dag_run, "logical_date", None) or dag_run.run_after
    day: str = pendulum.instance(moment).in_timezone("UTC").to_date_string()
    return day
