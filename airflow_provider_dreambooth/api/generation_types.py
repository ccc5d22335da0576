# SPDX-License-Identifier: Apache-2.0
"""The parameters of each kind of generation, with their types, for type checkers and editors.

What each does, its range and the service's default: the guide "Generate".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict


class Generate(TypedDict, total=False):
    """What every kind takes. What is not given is left to the service, but for ``enhance_prompt``."""

    model_id: Required[str]
    prompt: Required[str]
    negative_prompt: str | None
    width: int | None
    height: int | None
    samples: int | None
    guidance_scale: float | None
    safety_checker: bool | None
    safety_checker_type: str | None
    enhance_prompt: bool
    seed: int | None
    scheduler: str | None
    algorithm_type: str | None
    use_karras_sigmas: bool | None
    tomesd: bool | None
    vae: str | None
    embeddings_model: str | Sequence[str] | None
    lora_model: str | Sequence[str] | None
    lora_strength: float | Sequence[float] | None
    clip_skip: int | None
    base64: bool | None
    temp: bool | None
    webhook: str | None
    track_id: str | None
    extra_parameters: Mapping[str, Any] | None


class TextToImage(Generate, total=False):
    """What :meth:`~airflow_provider_dreambooth.hooks.dreambooth.DreamboothHook.text_to_image` takes."""

    num_inference_steps: int | None
    multi_lingual: bool | None
    panorama: bool | None
    self_attention: bool | None
    highres_fix: bool | None
    upscale: bool | None


class ImageToImage(Generate, total=False):
    """What :meth:`~airflow_provider_dreambooth.hooks.dreambooth.DreamboothHook.image_to_image` takes."""

    init_image: Required[str]
    strength: float | None
    num_inference_steps: int | None


class Inpaint(Generate, total=False):
    """What :meth:`~airflow_provider_dreambooth.hooks.dreambooth.DreamboothHook.inpaint` takes."""

    init_image: Required[str]
    mask_image: Required[str]
    strength: float | None
    steps: int | None
