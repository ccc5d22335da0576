# SPDX-License-Identifier: Apache-2.0
"""An Apache Airflow provider for the Stable Diffusion API (ModelsLab)."""

from __future__ import annotations

__version__ = "0.1.0"
