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
    lines = [line[2:-2].split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    header, _, *rows = lines
    ways = [dict(zip(header, row, strict=True)) for row in rows]
    assert [way["way"].split(",")[0] for way in ways] == ["ours", "ours", "HttpSensor"]
    for way in ways:
        assert 0 < float(way["notice, mean s"]) < float(way["event, mean s"])
        assert float(way["requests a job"]) >= 1
        assert float(way["requests a job / HttpSensor"]) > 0
    assert not [path for path in tmp_path.rglob("running.json") if path.read_text() != "{}"]
