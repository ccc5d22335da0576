# SPDX-License-Identifier: Apache-2.0
"""The Stable Diffusion API (ModelsLab) played on localhost: to test DAGs without credits."""

from __future__ import annotations

from airflow_provider_dreambooth.sandbox.sandbox import Sandbox

__all__ = ["Sandbox"]
