# SPDX-License-Identifier: Apache-2.0
"""
Redraw a picture in the style of two LoRA models, and keep the result. On Airflow 3.3 with a retry policy.

It submits, so with your own key it is billed. Start it with ``{"picture": "https://example.com/castle.png",
"destination": "s3://my-bucket/pictures"}``; the service opens the link, so it has to be public.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Param, dag

from airflow_provider_dreambooth.operators.dreambooth import (
    DreamboothImageToImageOperator,
    DreamboothSaveImagesOperator,
)

# [START howto_retry_policy]
RETRIES: dict[str, Any] = {"retries": 0}  # before Airflow 3.3 a retry may pay twice: see "What is billed"
try:
    from airflow_provider_dreambooth.retry_policy import DreamboothRetryPolicy
except ImportError:
    pass
else:
    RETRIES = {"retries": 3, "retry_policy": DreamboothRetryPolicy(retry_failed_generations=False)}
# [END howto_retry_policy]


@dag(
    schedule=None,
    params={
        "picture": Param("https://example.com/castle.png", type="string", title="Link to the picture"),
        "destination": Param("file:///tmp/dreambooth/pictures", type="string", title="Bucket or folder"),
    },
    tags=["example", "dreambooth"],
    doc_md=__doc__,
)
def example_dreambooth_restyle() -> None:
    """A picture in, another in a bucket out."""
    # [START howto_operator_restyle]
    restyled = DreamboothImageToImageOperator(
        task_id="restyle",
        model_id="midjourney",
        prompt="a castle in the mountains, watercolour",
        init_image="{{ params.picture }}",
        strength=0.6,
        lora_model=["watercolour", "soft-light"],
        lora_strength=[0.7, 0.4],
        reload_model=True,  # a model that idled for a week is loaded first
        wait_for_completion=True,
        deferrable=True,  # wait in the triggerer: no worker slot is held
        timeout=60 * 60,
        **RETRIES,
    )
    DreamboothSaveImagesOperator(
        task_id="save_pictures",
        results=restyled.output,
        destination="{{ params.destination }}",
    )
    # [END howto_operator_restyle]


example_dreambooth_restyle()
