# SPDX-License-Identifier: Apache-2.0
"""The simulation of pacing, in a tiny size; what it finds is asserted in tests/api/test_pacing.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pacing.py"


def run(*options: str) -> str:
    command = [sys.executable, SCRIPT, "--smoke", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_tables_and_the_same_plot_each_time(tmp_path):
    plots = [tmp_path / name / "pacing.svg" for name in "ab"]
    first, second = (run("--plot", str(plot)) for plot in plots)
    assert first == second
    assert plots[0].read_bytes() == plots[1].read_bytes()
    drawn = "".join(ET.parse(plots[0]).getroot().itertext())
    assert "requests per job" in drawn
    assert str(Path.home()) not in drawn

    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in first.splitlines()]
    ours = [row for row in rows if row[0] == "ours, eta known"]
    assert len(ours) == 8
    requests = [float(row[2]) for row in ours]
    assert requests == sorted(requests, reverse=True)
    assert requests[-1] >= 1
    assert all(re.fullmatch(r"[\d.]+", cell) for row in ours for cell in row[2:])
