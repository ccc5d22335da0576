# SPDX-License-Identifier: Apache-2.0
"""A pytest fixture: a running sandbox, and the connection to it.

Switch it on in ``conftest.py``: ``pytest_plugins = ["airflow_provider_dreambooth.sandbox.pytest_plugin"]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_dreambooth.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def dreambooth_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Give a running sandbox that the connection ``dreambooth_default`` leads to."""
    with Sandbox() as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", sandbox.connection_json)
        yield sandbox
