# SPDX-License-Identifier: Apache-2.0
"""The parameters of each kind of generation, with their types, for type checkers and editors.

Where no default is named, the service documents none. The guide "Generate" has all of it as a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict


class Generate(TypedDict, total=False):
    """What every kind takes. What is not given is left to the service, but for ``enhance_prompt``."""

    model_id: Required[str]
    """A public model, or your own."""
    prompt: Required[str]
    """What is to be seen."""
    negative_prompt: str | None
    """What is not to be seen. Default: nothing."""
    width: int | None
    """Pixels, 256 to 1024, a multiple of 8."""
    height: int | None
    """Pixels, 256 to 1024, a multiple of 8."""
    samples: int | None
    """Pictures of one request, 1 to 4."""
    guidance_scale: float | None
    """How closely to follow the prompt, 1 to 20. Default: 7.5."""
    safety_checker: bool | None
    """Replace an unsafe picture; the status stays ``success``."""
    safety_checker_type: str | None
    """By what: ``sensitive_content_text`` (default), ``blur``, ``pixelate`` or ``black``."""
    enhance_prompt: bool
    """Let the service rewrite the prompt. Its default is yes; "no" is sent unless this is True."""
    seed: int | None
    """0 to 2**63 - 1. Default: random; ``meta`` tells which."""
    scheduler: str | None
    """How noise is taken away: a name of the list in the guide "Generate"."""
    algorithm_type: str | None
    """``none`` (default) or ``dpmsolver+++``, only with ``DPMSolverMultistepScheduler``."""
    use_karras_sigmas: bool | None
    """Noise by Karras. Default: yes."""
    tomesd: bool | None
    """Merge tokens, which is faster. Default: yes."""
    vae: str | None
    """Another decoder. Default: the model's own."""
    embeddings_model: str | Sequence[str] | None
    """One name, several, or their text with commas between."""
    lora_model: str | Sequence[str] | None
    """One name, several, or their text with commas between."""
    lora_strength: float | Sequence[float] | None
    """0.1 to 1: one for all of ``lora_model``, or one for each."""
    clip_skip: int | None
    """Layers of CLIP left out, 1 to 8."""
    base64: bool | None
    """Pictures as base64 text: those given, and where the links lead. Default: no."""
    temp: bool | None
    """Links that live for 24 hours. Default: no."""
    webhook: str | None
    """An https address to which the service posts the result, unsigned."""
    track_id: str | None
    """What the webhook's post repeats. The operators send a hash of the task's try by default."""
    extra_parameters: Mapping[str, Any] | None
    """Further parameters of the service, sent as they are."""


class TextToImage(Generate, total=False):
    """What :meth:`~airflow_provider_dreambooth.hooks.dreambooth.DreamboothHook.text_to_image` takes."""

    num_inference_steps: int | None
    """Denoising steps, 1 to 51; the service may use fewer."""
    multi_lingual: bool | None
    """The prompt is not in English."""
    panorama: bool | None
    """Make a panorama."""
    self_attention: bool | None
    """Better pictures that take longer."""
    highres_fix: bool | None
    """Draw large pictures in two steps."""
    upscale: bool | None
    """Double the resolution."""


class ImageToImage(Generate, total=False):
    """What :meth:`~airflow_provider_dreambooth.hooks.dreambooth.DreamboothHook.image_to_image` takes."""

    init_image: Required[str]
    """An http(s) link that the service opens; with ``base64`` the bytes as base64 text."""
    strength: float | None
    """How much is drawn anew, 0 to 1."""
    num_inference_steps: int | None
    """Denoising steps, 1 to 50; the service may use fewer."""


class Inpaint(Generate, total=False):
    """What :meth:`~airflow_provider_dreambooth.hooks.dreambooth.DreamboothHook.inpaint` takes."""

    init_image: Required[str]
    """An http(s) link that the service opens; with ``base64`` the bytes as base64 text."""
    mask_image: Required[str]
    """As ``init_image``, of the same size; white is drawn anew."""
    strength: float | None
    """How much is drawn anew, 0 to 1."""
    steps: int | None
    """Denoising steps, 1 to 50."""
