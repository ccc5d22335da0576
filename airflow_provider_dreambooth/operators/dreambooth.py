# SPDX-License-Identifier: Apache-2.0
"""The operators, under the names that DAGs import."""

from __future__ import annotations

from airflow_provider_dreambooth.operators.generation import (
    DreamboothImageToImageOperator,
    DreamboothInpaintOperator,
    DreamboothTextToImageOperator,
)
from airflow_provider_dreambooth.operators.reload_model import DreamboothReloadModelOperator
from airflow_provider_dreambooth.operators.save_images import DreamboothSaveImagesOperator

__all__ = [
    "DreamboothImageToImageOperator",
    "DreamboothInpaintOperator",
    "DreamboothReloadModelOperator",
    "DreamboothSaveImagesOperator",
    "DreamboothTextToImageOperator",
]
