# SPDX-License-Identifier: Apache-2.0
"""What a submit asks for: the kinds of generation, and their requests in the words of each dialect.

Sources: the service's documentation of 2023 (v4) and 2025 (v6). Where they differ in a range, the newer one
is checked; ``extra_parameters`` goes past the check.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from airflow_provider_dreambooth.api import parameters as p
from airflow_provider_dreambooth.api.endpoints import Call

LEAST_TIMEOUT = 120.0
"""Seconds to wait for the reply to a submit, whatever the connection says: some generations are done before
the service replies, and one that was given up may be paid for without its id."""
_MAX_REPLY_BYTES = 1 << 20
"""Beside what was sent: a reply repeats the prompt, or a base64 picture, and cut off it costs a picture."""
_LARGEST_SEED = 2**63 - 1

_COMMON: Mapping[str, p.Check] = MappingProxyType(
    {
        "model_id": p.text,
        "prompt": p.text,
        "negative_prompt": p.any_text,
        "width": p.integer(256, 1024, multiple_of=8),
        "height": p.integer(256, 1024, multiple_of=8),
        "samples": p.integer(1, 4),
        "guidance_scale": p.number(1, 20),
        "safety_checker": p.switch,
        "safety_checker_type": p.choice("sensitive_content_text", "blur", "pixelate", "black"),
        "enhance_prompt": p.switch,
        "seed": p.integer(0, _LARGEST_SEED),
        "scheduler": p.choice(*p.SCHEDULERS),
        "algorithm_type": p.choice("none", "dpmsolver+++"),
        "use_karras_sigmas": p.switch,
        "tomesd": p.switch,
        "vae": p.text,
        "embeddings_model": p.several(p.word),
        "lora_model": p.several(p.word),
        "lora_strength": p.several(p.number(0.1, 1)),
        "clip_skip": p.integer(1, 8),
        "base64": p.switch,
        "temp": p.switch,
        "webhook": p.secure_link,
        "track_id": p.text,
    }
)
_NOT_THE_PICTURE = ("track_id", "webhook")
"""What says where the result goes, not what it is."""


@dataclass(frozen=True)
class Kind:
    """
    One endpoint that generates.

    :param paths: by dialect. The v3 dialect is only used to fetch: ids are one number space.
    :param checks: of every parameter it takes, by name.
    """

    name: str
    paths: Mapping[str, str]
    required: tuple[str, ...]
    checks: Mapping[str, p.Check]


TEXT_TO_IMAGE = Kind(
    "text_to_image",
    {"v4": "/api/v4/dreambooth", "v6": "/api/v6/images/text2img"},
    ("model_id", "prompt"),
    {
        **_COMMON,
        "num_inference_steps": p.integer(1, 51),
        "multi_lingual": p.switch,
        "panorama": p.switch,
        "self_attention": p.switch,
        "highres_fix": p.switch,
        "upscale": p.switch,
    },
)
IMAGE_TO_IMAGE = Kind(
    "image_to_image",
    {"v4": "/api/v4/dreambooth/img2img", "v6": "/api/v6/images/img2img"},
    ("model_id", "prompt", "init_image"),
    {
        **_COMMON,
        "init_image": p.link,
        "strength": p.number(0, 1),
        "num_inference_steps": p.integer(1, 50),
    },
)
INPAINT = Kind(
    "inpaint",
    {"v4": "/api/v4/dreambooth/inpaint", "v6": "/api/v6/images/inpaint"},
    ("model_id", "prompt", "init_image", "mask_image"),
    {
        **_COMMON,
        "init_image": p.link,
        "mask_image": p.link,
        "strength": p.number(0, 1),
        "steps": p.integer(1, 50),
    },
)


@dataclass(frozen=True)
class Generation:
    """
    What is to be generated, checked.

    :param values: typed, by name; only what is sent.
    :param extra: sent as it is, in place of a checked parameter of the same name.
    """

    kind: Kind
    values: Mapping[str, Any]
    extra: Mapping[str, Any]

    def call(self, api_version: str) -> Call:
        """Write the request as the dialect wants it."""
        dialect = "v6" if api_version == "v6" else "v4"
        write = _as_json if dialect == "v6" else _as_text
        body = {**{name: write(value) for name, value in self.values.items()}, **self.extra}
        most = _MAX_REPLY_BYTES + 2 * len(json.dumps(body))  # twice: it may escape what is sent as it is
        return Call(self.kind.paths[dialect], body, most, least_timeout=LEAST_TIMEOUT, billed=True)

    @property
    def model_id(self) -> str:
        """The model that is to generate."""
        return str({**self.values, **self.extra}["model_id"])

    @property
    def track_id(self) -> str | None:
        """What the service repeats to a webhook, so that it is known there."""
        return {**self.values, **self.extra}.get("track_id")

    @property
    def fingerprint(self) -> str:
        """Tell by 64 hexadecimal digits whether the same picture is asked for; the key is not in it."""
        asked = {**self.values, **self.extra}
        what = [self.kind.name, {name: asked[name] for name in asked if name not in _NOT_THE_PICTURE}]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def read_generation(kind: Kind, given: Mapping[str, Any], extra: object = None) -> Generation:
    """
    Check what a user gives.

    :param given: by the service's names. What is None is left to the service, but for ``enhance_prompt``:
        the service would rewrite the prompt, so "no" is sent.
    :param extra: a mapping of parameters that this release does not know, or checks too strictly.
    :raises ValueError: naming the parameter, its value and what is accepted.
    """
    extra = _extra(extra)
    unknown = sorted(set(given) - set(kind.checks))
    if unknown:
        raise ValueError(
            f"{kind.name} takes no {', '.join(unknown)}; extra_parameters passes on what this release does "
            f"not know"
        )
    asked = {name: value for name, value in given.items() if p.given(value) or name in kind.required}
    asked.setdefault("enhance_prompt", False)
    as_base64 = _is_base64(asked.get("base64")) or _is_base64(extra.get("base64"))
    values: dict[str, Any] = {}
    for name in kind.checks:
        if name in extra or (name not in asked and name not in kind.required):
            continue
        check = kind.checks[name]
        if as_base64 and check is p.link and not str(asked.get(name)).startswith(("http://", "https://")):
            check = p.text
        values[name] = check(name, asked.get(name))
    if "lora_model" not in extra and "lora_strength" not in extra:
        _check_lora(values)
    return Generation(kind, values, extra)


def model_reload(api_version: str, model_id: object) -> Call:
    """
    Ask the service to load a model that idled out.

    :raises ValueError: if it is no model's id.
    """
    path = "/api/v6/images/model_reload" if api_version == "v6" else "/api/v4/dreambooth/model_reload"
    return Call(path, {"model_id": p.text("model_id", model_id)})


def _extra(value: object) -> Mapping[str, Any]:
    """Check what is passed on. Its values are not quoted: a key that was put here by mistake is a secret."""
    if not p.given(value):
        return {}
    expected = "; accepted is a dict of parameters by their API names"
    if not isinstance(value, Mapping):
        raise ValueError(f"extra_parameters is of type {type(value).__name__}{expected}")
    if any(str(name).strip().lower() == "key" for name in value):
        raise ValueError("extra_parameters holds 'key': the API key belongs into the connection's password")
    if not all(isinstance(name, str) for name in value):
        raise ValueError(f"extra_parameters is a dict with names that are no text{expected}")
    try:
        json.dumps(dict(value), allow_nan=False, sort_keys=True)  # as the fingerprint does
    except (TypeError, ValueError, RecursionError):
        raise ValueError("extra_parameters is a dict with what JSON cannot hold; accepted is JSON") from None
    return dict(value)


def _is_base64(value: object) -> bool:
    return p.given(value) and p.switch("base64", value)


def _check_lora(values: Mapping[str, Any]) -> None:
    models, strengths = values.get("lora_model", ()), values.get("lora_strength", ())
    if strengths and len(strengths) not in (1, len(models)):
        raise p.refuse(
            "lora_strength",
            list(strengths),
            f"one number, or as many as lora_model has names ({len(models)})",
        )
    if strengths and not models:
        raise ValueError(f"lora_strength is {list(strengths)}, but there is no lora_model")


def _as_json(value: Any) -> Any:
    """Write a value for v6: JSON numbers and booleans."""
    return _joined(value) if isinstance(value, tuple) else value


def _as_text(value: Any) -> str:
    """Write a value for v4: text, with "yes" and "no" for booleans."""
    if isinstance(value, tuple):
        return _joined(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _joined(values: tuple[Any, ...]) -> str:
    return ",".join(f"{value:.10g}" if isinstance(value, float) else str(value) for value in values)
