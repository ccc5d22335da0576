# SPDX-License-Identifier: Apache-2.0
"""How a run against the cluster begins and ends: in a fresh folder, in bounded time, with nothing left."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.processes import stop_recorded

FOLDER = Path(__file__).parents[2] / ".cluster"


class TookTooLong(BaseException):
    """The run is broken off: no handler of errors is to take it for one."""


def guarded(folder: Path, limit: float, run: Callable[[], int]) -> int:
    """
    End what an earlier run has left, empty the folder, and run; return the exit code.

    :param limit: seconds after which it is broken off.
    :raises ValueError: if the folder holds anything else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "redis" / "running.json").exists():
        raise ValueError(f"{folder} is not of an earlier run; it would be emptied")
    for part in (folder / "airflow" / "processes", folder / "redis", folder / "sandbox", folder / "bucket"):
        stop_recorded(part)
    shutil.rmtree(folder, ignore_errors=True)
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        return run()
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except TookTooLong:
        print(f"\nBroken off: it has taken {limit:.0f} seconds.", file=sys.stderr)
        return 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _too_long(*_: object) -> None:
    raise TookTooLong
