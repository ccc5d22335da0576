# SPDX-License-Identifier: Apache-2.0
"""Each benchmark in a tiny size, so that none of them rots; what it measures is for a person to read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_waiting_triggers():
    command = [
        sys.executable,
        BENCHMARKS / "waiting_triggers.py",
        "--triggers=20",
        "--seconds=1",
        "--rounds=1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    table = {line[:24].strip(): line[24:].split() for line in done.stdout.splitlines()}
    assert float(table["polls"][0]) >= 20
    assert float(table["sockets at most"][0]) <= 10
    assert "x the bare loop's" in done.stdout
