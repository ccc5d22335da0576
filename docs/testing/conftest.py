# SPDX-License-Identifier: Apache-2.0
"""A project whose DAGs are tested with the sandbox: its fixture is switched on."""

from __future__ import annotations

# [START sandbox_conftest]
# conftest.py
pytest_plugins = ["airflow_provider_dreambooth.sandbox.pytest_plugin"]
# [END sandbox_conftest]
