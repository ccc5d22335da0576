# SPDX-License-Identifier: Apache-2.0
"""
A cluster with faults: one after the other, always in the same order; at the end all must be well.

``python -m scripts.cluster [--requests 500] [--folder FOLDER]``
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from scripts.cluster import actions, checks, waiting_faults, working_faults
from scripts.cluster.running import FOLDER, guarded
from scripts.cluster.stage import Stage, Unexpected, stage
from scripts.cluster.work import Work, begin, prepare

LIMIT = 1800.0  # seconds, whatever happens
FAULTS: tuple[Callable[[Stage, Work], str], ...] = (
    waiting_faults.bad_service,
    waiting_faults.killed_triggerer,
    waiting_faults.frozen_triggerer,
    waiting_faults.rotated_key,
    waiting_faults.restarted_postgres,
    working_faults.killed_saving,
    working_faults.killed_scheduler,
    working_faults.refused_submits,
    actions.marked_failed,
    actions.marked_success,
    actions.cleared_wait,
    actions.cleared_generation,
    actions.execution_timeout,
    working_faults.killed_looking,
    working_faults.killed_waiting,
    working_faults.killed_submitting,
)
SANDBOX = ("--run-time", "15", "20")  # seconds that a generation takes


def run(count: int, folder: Path) -> int:
    """Do it all; return the number of things that are not as they should be."""
    rows: list[tuple[str, str, str]] = []
    wrong = 0
    with stage(folder, SANDBOX) as on:
        on.say("The cluster is up and healthy")
        work = prepare(on, count)
        on.say(begin(on, work))
        for title, steps in (("Fault", FAULTS), ("At the end", checks.CHECKS)):
            rows += [(f"**{title}**", "", "")] if rows else []
            for step in steps:
                began = time.monotonic()
                name = (step.__doc__ or "").strip().rstrip(".")
                try:
                    said = step(on, work)
                except (Unexpected, ValueError, LookupError, OSError, DBAPIError) as error:
                    wrong += 1
                    said = f"NOT AS IT SHOULD BE: {type(error).__name__}: {error}"
                rows.append((name, said, f"{time.monotonic() - began:.0f} s"))
                on.say(f"{name}: {said}")
        on.say(f"Components that ended by themselves and were started again: {dict(on.cluster.restarted)}")
    print("\n| fault | what happened | took |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(f"\nDone in {time.monotonic() - on.began:.0f} seconds; not as it should be: {wrong}.")
    return wrong


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--requests", type=int, default=500, help="in the list, and mapped")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for all that is written")
    options = parser.parse_args()
    return guarded(options.folder, LIMIT, lambda: 1 if run(options.requests, options.folder) else 0)


if __name__ == "__main__":
    sys.exit(main())
