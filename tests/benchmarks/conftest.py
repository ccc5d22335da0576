# SPDX-License-Identifier: Apache-2.0
"""Benchmarks run in a tiny size, so that none of them rots; what they measure is for a person to read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def table():
    """Run ``benchmarks/<name>.py --smoke`` and give its table: a dict for each row, by the header's names."""

    def run(name: str, *options: str) -> list[dict[str, str]]:
        command = [sys.executable, BENCHMARKS / f"{name}.py", "--smoke", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        lines = [line[2:-2].split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
        header, dashes, *rows = lines
        assert set(dashes) == {"---"}
        assert len(set(header)) == len(header)
        return [dict(zip(header, row, strict=True)) for row in rows]

    return run
