# SPDX-License-Identifier: Apache-2.0
"""What the service takes: the parameters of a submit, with their ranges and words, types as loose as it is.

Published is only "The prompt field is required."; the words of the other errors are guesses in its style.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Returns the value that was meant, or raises ValueError with what follows "The width ...".
    Check = Callable[[Any], Any]

NAMES_OF_SCHEDULERS = (
    "DDPM", "DDIM", "PNDM", "LMSDiscrete", "EulerDiscrete", "EulerAncestralDiscrete", "DPMSolverMultistep",
    "HeunDiscrete", "KDPM2Discrete", "DPMSolverSinglestep", "KDPM2AncestralDiscrete", "UniPCMultistep",
    "DDIMInverse", "DEISMultistep", "IPNDM", "KarrasVe", "ScoreSdeVe", "LCM",
)  # fmt: skip
SCHEDULERS = tuple(f"{name}Scheduler" for name in NAMES_OF_SCHEDULERS)
ONLY_FOR_ALGORITHMS = "DPMSolverMultistepScheduler"
YES, NO = (True, "yes", "true", "1"), (False, "no", "false", "0")  # True is also the number 1
HIGHEST_SEED = 2**63 - 1


def whole(low: int, high: int, multiple: int = 1) -> Check:
    """An integer, as a number or as a string."""

    def check(value: Any) -> int:
        try:
            number = int(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None:
            raise ValueError("must be an integer")
        _within(number, low, high)
        if number % multiple:
            raise ValueError(f"must be a multiple of {multiple}")
        return number

    return check


def real(low: float, high: float) -> Check:
    """A number, as such or as a string."""

    def check(value: Any) -> float:
        try:
            number = None if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = None
        if number is None:
            raise ValueError("must be a number")
        _within(number, low, high)
        return number

    return check


def _within(number: float, low: float, high: float) -> None:
    if not low <= number <= high:  # so also for NaN
        raise ValueError(f"must be between {low} and {high}")


def several(one: Check) -> Check:
    """Values with commas between them; one alone may be no string."""

    def check(value: Any) -> list[Any]:
        parts = value.split(",") if isinstance(value, str) else [value]
        if not all(str(part).strip() for part in parts):
            raise ValueError("must not have an empty entry")
        return [one(part.strip() if isinstance(part, str) else part) for part in parts]

    return check


def words(*allowed: object) -> Check:
    """One of these and nothing else."""

    def check(value: Any) -> Any:
        if value not in allowed:
            raise ValueError("is invalid")
        return value

    return check


def yes_no(value: Any) -> str:
    """A switch in the service's own words."""
    if value in YES:
        return "yes"
    if value in NO:
        return "no"
    raise ValueError("must be yes or no")


def text(value: Any) -> str:
    """A string; a number is taken for one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a string")
    return str(value)


def url(value: Any) -> str:
    """An address of the web."""
    if not isinstance(value, str) or not value.startswith(("https://", "http://")):
        raise ValueError("must be a valid URL")
    return value


_COMMON: Mapping[str, Check] = {
    "prompt": text,
    "model_id": text,
    "negative_prompt": text,
    "width": whole(256, 1024, multiple=8),
    "height": whole(256, 1024, multiple=8),
    "samples": whole(1, 4),
    "guidance_scale": real(1, 20),
    "safety_checker": yes_no,
    "safety_checker_type": words("sensitive_content_text", "blur", "pixelate", "black"),
    "enhance_prompt": yes_no,
    "seed": whole(0, HIGHEST_SEED),
    "scheduler": words(*SCHEDULERS),
    "algorithm_type": words("none", "dpmsolver+++"),
    "use_karras_sigmas": yes_no,
    "tomesd": yes_no,
    "vae": text,
    "embeddings_model": several(text),
    "lora_model": several(text),
    "lora_strength": several(real(0.1, 1)),
    "clip_skip": whole(1, 8),
    "base64": yes_no,
    "temp": yes_no,
    "webhook": url,
    "track_id": text,
}
_OF_KINDS: Mapping[str, Mapping[str, Check]] = {
    "text2img": {
        "num_inference_steps": whole(1, 51),
        "multi_lingual": yes_no,
        "panorama": yes_no,
        "self_attention": yes_no,
        "highres_fix": yes_no,
        "upscale": words(*YES, *NO, 2, 3, "2", "3"),
    },
    "img2img": {"init_image": url, "num_inference_steps": whole(1, 50), "strength": real(0, 1)},
    "inpaint": {"init_image": url, "mask_image": url, "steps": whole(1, 50), "strength": real(0, 1)},
}
REQUIRED = ("prompt", "model_id", "init_image", "mask_image")


def read(kind: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """What a body means, and what is wrong with it in the words of the service.

    What it does not know is let through, as the service does. null and blanks are as good as nothing.

    :param kind: ``text2img``, ``img2img`` or ``inpaint``.
    """
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    given = {name: value for name, value in body.items() if value is not None and str(value).strip()}
    checks = {**_COMMON, **_OF_KINDS[kind]}
    if given.get("base64") in YES:
        checks |= {name: text for name in ("init_image", "mask_image") if name in checks}
    for name, check in checks.items():
        label = name.replace("_", " ")
        if name not in given:
            if name in REQUIRED:
                errors[name] = [f"The {label} field is required."]
            continue
        try:
            values[name] = check(given[name])
        except ValueError as err:
            errors[name] = [f"The {label} {err}."]
    if not errors:
        errors = _together(values)
    return values, errors


def _together(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is wrong although each value alone is right."""
    models, strengths = values.get("lora_model"), values.get("lora_strength")
    if models and strengths and len(models) != len(strengths):
        return {"lora_strength": ["The lora strength must have as many entries as the lora model."]}
    if values.get("algorithm_type", "none") != "none" and values.get("scheduler") != ONLY_FOR_ALGORITHMS:
        return {"algorithm_type": [f"The algorithm type is only taken with {ONLY_FOR_ALGORITHMS}."]}
    return {}
