# SPDX-License-Identifier: Apache-2.0
"""What importing the provider costs: the sensor each parsing of a DAG, its description each Airflow process.

Each import is timed in a fresh process, in CPU time: the sensor after ``import airflow.sdk``, the description
after nothing. The peers are the official HTTP provider's. Each runs once before the rounds, to be compiled.

    python benchmarks/imports.py --rounds 10
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from common import Figures, in_turn, median, ratio, table

SDK = "import airflow.sdk"
WAYS = {
    "sdk": ("", SDK),
    "sensor": (SDK, "import airflow_provider_dreambooth.sensors.dreambooth"),
    "http sensor": (SDK, "import airflow.providers.http.sensors.http"),
    "info": ("", "from airflow_provider_dreambooth.get_provider_info import get_provider_info as g; g()"),
    "http info": ("", "from airflow.providers.http.get_provider_info import get_provider_info as g; g()"),
}
"""What is imported before, and what is timed."""
ROWS = {
    "sensor": ("sensor module, over `import airflow.sdk`", "http sensor", 60.0),
    "info": ("`get_provider_info()`, over nothing", "http info", 5.0),
}
"""Title, peer, and the most milliseconds it may take."""
TIMED = """\
import sys, time
{before}
modules, began = set(sys.modules), time.process_time()
{timed}
spent = time.process_time() - began
new = set(sys.modules) - modules
print("[%r, %r, %r]" % (1000 * spent, len(new), int("airflow" in sys.modules)))
"""
ROOT = Path(__file__).parents[1]


def measure(home: str, before: str, timed: str) -> Figures:
    """Time a statement in a process that has imported nothing but what comes ``before``."""
    code = TIMED.format(before=before, timed=timed)
    environment = {**os.environ, "AIRFLOW_HOME": home}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, check=True
    )
    return dict(zip(("ms", "modules", "airflow"), json.loads(done.stdout), strict=True))


def main() -> None:
    """Import in turn and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--smoke", action="store_true", help="one round, to see that it runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        ways = {way: partial(measure, home, *statements) for way, statements in WAYS.items()}
        for run in () if options.smoke else ways.values():
            run()
        rounds = in_turn(ways, 1 if options.smoke else options.rounds)
    rows = [
        [
            title,
            *(median(rounds, way, figure) for way in (ours, peer) for figure in ("ms", "modules")),
            f"{ratio(rounds, ours, peer, 'ms'):.2f}",
            f"{ratio(rounds, ours, 'sdk', 'ms'):.3f}",
            f"≤ {most:g} ms",
            "yes" if any(each[ours]["airflow"] for each in rounds) else "no",
        ]
        for ours, (title, peer, most) in ROWS.items()
    ]
    header = ["import", "ours, ms", "modules", "HTTP provider's, ms", "its modules", "ours / its"]
    print(table([*header, "ours / `import airflow.sdk`", "target", "imports Airflow"], rows))


if __name__ == "__main__":
    main()
