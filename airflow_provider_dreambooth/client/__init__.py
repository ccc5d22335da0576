# SPDX-License-Identifier: Apache-2.0
"""The two ways to do I/O, each a thin driver of :mod:`airflow_provider_dreambooth.api`. No Airflow here."""

from __future__ import annotations
