# SPDX-License-Identifier: Apache-2.0
"""Every parameter of every operator that generates as a template, and each operator mapped in each way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_dreambooth.operators.dreambooth import (
    DreamboothImageToImageOperator,
    DreamboothInpaintOperator,
    DreamboothReloadModelOperator,
    DreamboothTextToImageOperator,
)

# By name: what the template gives (as text, since Jinja makes text of everything), and what v4 is sent.
COMMON: dict[str, tuple[str, str]] = {
    "model_id": ("midjourney", "midjourney"),
    "prompt": ("a fox, and a {name}", "a fox, and a {name}"),
    "negative_prompt": ("blurred", "blurred"),
    "width": ("256", "256"),
    "height": ("264", "264"),
    "samples": ("2", "2"),
    "guidance_scale": ("7.0", "7"),
    "safety_checker": ("True", "yes"),
    "safety_checker_type": ("blur", "blur"),
    "enhance_prompt": ("false", "no"),
    "seed": ("9007199254740993", "9007199254740993"),
    "scheduler": ("DPMSolverMultistepScheduler", "DPMSolverMultistepScheduler"),
    "algorithm_type": ("dpmsolver+++", "dpmsolver+++"),
    "use_karras_sigmas": ("no", "no"),
    "tomesd": ("yes", "yes"),
    "vae": ("a-vae", "a-vae"),
    "embeddings_model": ("['one', 'two']", "one,two"),
    "lora_model": ("a,b", "a,b"),
    "lora_strength": ("[0.4, 0.6]", "0.4,0.6"),
    "clip_skip": ("2", "2"),
    "base64": ("False", "no"),
    "temp": ("1", "yes"),
    "webhook": ("https://hooks.example/a", "https://hooks.example/a"),
    "track_id": ("mine", "mine"),
}
LINK = ("https://pictures.example/a.png", "https://pictures.example/a.png")
OWN: dict[Any, dict[str, tuple[str, str]]] = {
    DreamboothTextToImageOperator: {
        "num_inference_steps": ("21", "21"),
        "multi_lingual": ("True", "yes"),
        "panorama": ("False", "no"),
        "self_attention": ("yes", "yes"),
        "highres_fix": ("no", "no"),
        "upscale": ("0", "no"),
    },
    DreamboothImageToImageOperator: {
        "init_image": LINK,
        "strength": ("0.7", "0.7"),
        "num_inference_steps": ("20", "20"),
    },
    DreamboothInpaintOperator: {
        "init_image": LINK,
        "mask_image": LINK,
        "strength": ("1", "1"),
        "steps": ("31", "31"),
    },
}
START = datetime(2026, 1, 1, tzinfo=UTC)
FOX = {"model_id": "flux", "prompt": "a fox"}
PICTURE = LINK[0]


def template_of(value: str) -> str:
    return f"{{{{ {value!r} }}}}"


for operator, own in OWN.items():
    with DAG(f"rendered_{operator.kind.name}", schedule=None, start_date=START):
        operator(
            task_id="generate",
            **{name: template_of(given) for name, (given, _) in {**COMMON, **own}.items()},
            extra_parameters={"hologram": template_of("on"), "depth": [template_of("3"), 4]},
            dreambooth_conn_id=template_of("dreambooth_default"),
            force_new=template_of("False"),
            wait_for_completion=True,
            poke_interval=0.1,
        )

with DAG("mapped", schedule=None, start_date=START):
    DreamboothTextToImageOperator.partial(task_id="expanded", model_id="flux").expand(prompt=["one", "two"])
    DreamboothTextToImageOperator.partial(task_id="crossed", model_id="flux", prompt="a fox").expand(
        width=[256, 512], lora_model=[["a", "b"], "c"]
    )
    DreamboothImageToImageOperator.partial(task_id="by_kwargs", model_id="flux").expand_kwargs(
        [
            {"prompt": "one", "init_image": PICTURE, "strength": 0.2},
            {"prompt": "two", "init_image": PICTURE, "extra_parameters": {"hologram": 1}},
        ]
    )
    DreamboothInpaintOperator.partial(task_id="masks", **FOX, init_image=PICTURE).expand(
        mask_image=[PICTURE, f"{PICTURE}?2"]
    )
    DreamboothReloadModelOperator.partial(task_id="models", wait_for_completion=False).expand(
        model_id=["flux", "midjourney"]
    )
