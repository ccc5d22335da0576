# SPDX-License-Identifier: Apache-2.0
"""Generating with the hook, in a task of one's own; and prompts with parameters of their own, mapped."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import dag, task

# [START generate_in_python]
from airflow_provider_dreambooth.api.submitting import SubmitPolicy
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook


def generate() -> list[str]:
    with DreamboothHook("dreambooth_default") as hook:
        request = hook.text_to_image(
            model_id="midjourney",
            prompt="a red fox in the snow",
            policy=SubmitPolicy(queue_timeout=600),  # wait out a full queue
        )
        return hook.wait(request, timeout=600)["output"]


# [END generate_in_python]


@dag(schedule=None)
def generate_in_python() -> None:
    """Nothing in, links out."""
    task(generate)()


@dag(schedule=None)
def generate_mapped() -> None:
    """Two submits, each with parameters of its own."""
    # [START expand_kwargs]
    from airflow_provider_dreambooth.operators.dreambooth import DreamboothTextToImageOperator

    DreamboothTextToImageOperator.partial(task_id="generate", model_id="midjourney").expand_kwargs(
        [{"prompt": "a red fox", "seed": 7}, {"prompt": "a heron", "width": 768}]
    )
    # [END expand_kwargs]


generate_in_python()
generate_mapped()
