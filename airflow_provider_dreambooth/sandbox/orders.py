# SPDX-License-Identifier: Apache-2.0
"""What a submit asks for, read from its body as loosely as the service reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dreambooth.sandbox.rules import read

if TYPE_CHECKING:
    from collections.abc import Mapping

SUFFIX: dict[str, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
ENHANCEMENT = ", highly detailed, sharp focus, dramatic light"
UNSAFE = re.compile(r"\b(nsfw|nude|naked)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Order:
    """What was asked for: the parameters of a submit that the sandbox draws or repeats.

    :param prompt: as it is used, so already rewritten if that was asked for.
    """

    prompt: str = "a red fox in the snow"
    negative_prompt: str = ""
    model_id: str = "midjourney"
    width: int = 512
    height: int = 512
    samples: int = 1
    seed: int | None = None  # the job's seed then follows from its id
    steps: int = 20
    guidance_scale: float = 7.5
    scheduler: str = "UniPCMultistepScheduler"
    safety_checker: str = "no"
    lora_model: str | None = None
    lora_strength: str | float = 1
    clip_skip: int = 1
    temp: str = "no"
    base64: bool = False
    format: str = "png"
    kind: str = "text2img"

    def __post_init__(self) -> None:
        if self.format not in SUFFIX:
            raise ValueError(f"The sandbox draws {', '.join(SUFFIX)}, not {self.format!r}.")
        if self.samples < 1 or self.width < 1 or self.height < 1:
            raise ValueError("samples, width and height are at least 1.")

    @property
    def yes_no_base64(self) -> str:
        """The switch ``base64`` in the service's own words."""
        return "yes" if self.base64 else "no"

    @property
    def censored(self) -> bool:
        """Whether the safety checker replaces the pictures by blank ones."""
        return self.safety_checker == "yes" and UNSAFE.search(self.prompt) is not None


def read_order(kind: str, body: Mapping[str, Any]) -> Order | dict[str, list[str]]:
    """The order of a submit, or what is wrong with it in the words of the service.

    :param kind: ``text2img``, ``img2img`` or ``inpaint``.
    """
    values, errors = read(kind, body)
    if errors:
        return errors
    if values.get("enhance_prompt", "yes") == "yes":
        values["prompt"] += ENHANCEMENT
    if "num_inference_steps" in values:
        values["steps"] = values["num_inference_steps"]
    for name in ("lora_model", "lora_strength"):  # told as they came
        if name in values:
            values[name] = body[name]
    values["base64"] = values.get("base64") == "yes"
    known = Order.__dataclass_fields__
    return Order(kind=kind, **{name: value for name, value in values.items() if name in known})
