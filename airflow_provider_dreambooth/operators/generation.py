# SPDX-License-Identifier: Apache-2.0
"""The operators that generate, one for each endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_dreambooth.api.generation import IMAGE_TO_IMAGE, INPAINT, TEXT_TO_IMAGE, Kind
from airflow_provider_dreambooth.operators.generate import GenerateOperator

_PLUMBING = ("extra_parameters", "dreambooth_conn_id", "force_new")


def _templated(kind: Kind) -> Sequence[str]:
    return (*kind.checks, *_PLUMBING)


class DreamboothTextToImageOperator(GenerateOperator):
    """
    Generate pictures from a text, with ``lora_model`` also by one LoRA model or several.

    What else it takes, returns and raises:
    :class:`~airflow_provider_dreambooth.operators.generate.GenerateOperator`.

    :param model_id: a public model, or one of your own. (templated, as every parameter of the generation)
    :param prompt: what is to be seen.
    :param num_inference_steps: denoising steps, 1 to 51.
    :param multi_lingual: the prompt is not in English.
    :param panorama: make a panorama.
    :param self_attention: a better picture that takes longer.
    :param highres_fix: draw large pictures in two steps.
    :param upscale: double the resolution of what was drawn.
    """

    kind = TEXT_TO_IMAGE
    template_fields: Sequence[str] = _templated(TEXT_TO_IMAGE)

    def __init__(
        self,
        *,
        num_inference_steps: int | None = None,
        multi_lingual: bool | None = None,
        panorama: bool | None = None,
        self_attention: bool | None = None,
        highres_fix: bool | None = None,
        upscale: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_inference_steps = num_inference_steps
        self.multi_lingual = multi_lingual
        self.panorama = panorama
        self.self_attention = self_attention
        self.highres_fix = highres_fix
        self.upscale = upscale


class DreamboothImageToImageOperator(GenerateOperator):
    """
    Generate pictures from a picture and a text.

    What else it takes, returns and raises:
    :class:`~airflow_provider_dreambooth.operators.generate.GenerateOperator`.

    :param init_image: link to the picture, which the service opens; with ``base64=True`` its bytes as
        base64 text.
    :param strength: how much of the picture is drawn anew, 0 to 1.
    :param num_inference_steps: denoising steps, 1 to 50.
    """

    kind = IMAGE_TO_IMAGE
    template_fields: Sequence[str] = _templated(IMAGE_TO_IMAGE)

    def __init__(
        self,
        *,
        init_image: str,
        strength: float | None = None,
        num_inference_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.init_image = init_image
        self.strength = strength
        self.num_inference_steps = num_inference_steps


class DreamboothInpaintOperator(GenerateOperator):
    """
    Draw anew what a mask shows white in a picture.

    What else it takes, returns and raises:
    :class:`~airflow_provider_dreambooth.operators.generate.GenerateOperator`.

    :param init_image: link to the picture, which the service opens; with ``base64=True`` its bytes as
        base64 text.
    :param mask_image: as ``init_image``, of the same size; white is drawn anew.
    :param strength: how much of what is white is drawn anew, 0 to 1.
    :param steps: denoising steps, 1 to 50.
    """

    kind = INPAINT
    template_fields: Sequence[str] = _templated(INPAINT)

    def __init__(
        self,
        *,
        init_image: str,
        mask_image: str,
        strength: float | None = None,
        steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.init_image = init_image
        self.mask_image = mask_image
        self.strength = strength
        self.steps = steps
