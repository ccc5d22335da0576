# SPDX-License-Identifier: Apache-2.0
"""A secrets backend, as a company has one: it keeps the connection and counts who asks for it."""

from __future__ import annotations

import os
from typing import ClassVar

from airflow.secrets import BaseSecretsBackend


class CountingBackend(BaseSecretsBackend):
    """Answers every connection id with the JSON in CONNECTION_OF_THE_BACKEND."""

    asked: ClassVar[list[str]] = []

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        type(self).asked.append(conn_id)
        return os.environ.get("CONNECTION_OF_THE_BACKEND")
