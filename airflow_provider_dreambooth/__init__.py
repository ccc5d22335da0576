# SPDX-License-Identifier: Apache-2.0
"""An Apache Airflow provider for the Stable Diffusion API (ModelsLab), Dreambooth v4 endpoints."""

from __future__ import annotations

__version__ = "0.1.0"
