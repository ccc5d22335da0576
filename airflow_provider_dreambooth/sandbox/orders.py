# SPDX-License-Identifier: Apache-2.0
"""What a submit asks for, read from its body as loosely as the service reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dreambooth.sandbox.published import PROMPT_REQUIRED

if TYPE_CHECKING:
    from collections.abc import Mapping

SUFFIX: dict[str, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
PICTURES_NEEDED = {"text2img": (), "img2img": ("init_image",), "inpaint": ("init_image", "mask_image")}
LIMITS = {"width": (1, 1024), "height": (1, 1024), "samples": (1, 4), "steps": (1, 51)}


@dataclass(frozen=True)
class Order:
    """What was asked for: the parameters of a submit that the sandbox draws or repeats."""

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
    temp: str = "no"
    base64: bool = False
    format: str = "png"

    def __post_init__(self) -> None:
        if self.format not in SUFFIX:
            raise ValueError(f"The sandbox draws {', '.join(SUFFIX)}, not {self.format!r}.")
        if self.samples < 1 or self.width < 1 or self.height < 1:
            raise ValueError("samples, width and height are at least 1.")

    @property
    def yes_no_base64(self) -> str:
        """The switch ``base64`` in the service's own words."""
        return "yes" if self.base64 else "no"


def read_order(kind: str, body: Mapping[str, Any]) -> Order | dict[str, list[str]]:
    """The order of a submit, or what is wrong with it in the words of the service.

    Numbers may be strings, and booleans ``"yes"`` and ``"no"``: clients send both.

    :param kind: ``text2img``, ``img2img`` or ``inpaint``.
    """
    errors: dict[str, list[str]] = {}
    if not body.get("prompt"):
        errors |= PROMPT_REQUIRED
    for name in PICTURES_NEEDED[kind]:
        if not body.get(name):
            errors[name] = [f"The {name.replace('_', ' ')} field is required."]
    steps = "steps" if kind == "inpaint" else "num_inference_steps"
    numbers = {"width": 512, "height": 512, "samples": 1, "steps": 20, "seed": 0}
    for name, default in numbers.items():
        asked_as = steps if name == "steps" else name
        try:
            numbers[name] = int(body.get(asked_as) or default)
        except (TypeError, ValueError):
            errors[asked_as] = [f"The {asked_as.replace('_', ' ')} must be an integer."]
            continue
        low, high = LIMITS.get(name, (0, 2**63))
        if not low <= numbers[name] <= high:
            errors[asked_as] = [f"The {asked_as.replace('_', ' ')} must be between {low} and {high}."]
    if errors:
        return errors
    return Order(
        prompt=str(body["prompt"]),
        negative_prompt=str(body.get("negative_prompt") or ""),
        model_id=str(body.get("model_id") or ""),
        scheduler=str(body.get("scheduler") or "UniPCMultistepScheduler"),
        safety_checker=_yes_no(body.get("safety_checker")),
        lora_model=body.get("lora_model"),
        temp=_yes_no(body.get("temp")),
        base64=_yes_no(body.get("base64")) == "yes",
        width=numbers["width"],
        height=numbers["height"],
        samples=numbers["samples"],
        steps=numbers["steps"],
        seed=numbers["seed"] or None,
    )


def _yes_no(value: object) -> str:
    return "yes" if value in (True, 1, "yes", "true", "1") else "no"
