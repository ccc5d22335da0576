# SPDX-License-Identifier: Apache-2.0
"""The benchmark with a whole Airflow, in a tiny size; what it measures is for a person to read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]


def test_each_way_waits_and_is_measured(tmp_path):
    command = [sys.executable, "-m", "benchmarks.readiness", "--smoke", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=380)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    figures = {row[0]: [float(cell) for cell in row[1:]] for row in rows[1:]}
    assert list(figures) == [
        "readiness to event, mean s",
        "readiness to event, median s",
        "readiness to notice, mean s",
        "readiness to notice, median s",
        "requests a job, mean",
    ]
    assert {len(row) for row in figures.values()} == {5}  # three ways and two ratios
    notices, events = figures["readiness to notice, mean s"], figures["readiness to event, mean s"]
    for notice, event in zip(notices[:3], events[:3], strict=True):
        assert 0 < notice < event
    assert min(figures["requests a job, mean"][:3]) >= 1
    assert not [path for path in tmp_path.rglob("running.json") if path.read_text() != "{}"]
