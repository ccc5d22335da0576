# SPDX-License-Identifier: Apache-2.0
"""Wait for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(done: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so; fail if it takes too long."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)
