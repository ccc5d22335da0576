# SPDX-License-Identifier: Apache-2.0
"""What waiting for thousands takes beside CPU time: stalls of the event loop, memory, and sockets.

1,000 and 5,000 of our triggers and one with 10,000 ids, each beside a bare aiohttp loop that waits for as
many. They begin as in the triggerer, 50 at a time, over one poke interval; beginning is watched like waiting.
A stall is how much later than asked for a sleep of 5 ms returns. Beside it is the most CPU time that the
loop's thread took during such a sleep, as other processes of a shared machine stall it too, and the longest
walk of Python's garbage collector, which is in neither. Memory is what the process holds beyond what it held
before there was anything to wait for. Each measurement is a fresh process.

    python benchmarks/waiting.py --rounds 3
"""

from __future__ import annotations

import argparse
from functools import partial

from common import Figures, child, fresh, in_turn, median, table
from service import Service
from steady import measure
from ways import CONNECTIONS

SIZES = (("triggers", 1000, 5.0), ("triggers", 5000, 15.0), ("list", 10_000, 30.0))
"""Way, ids, and a poke interval in seconds that two cores can bear."""
SMOKE = (("triggers", 20, 1.0), ("list", 100, 1.0))
AT_ONCE = 50
"""``[triggerer] max_trigger_to_select_per_loop``."""
LONGEST_STALL = 50.0
PER_ID = 1.0
TITLES = {"triggers": "{count:,} triggers", "list": "one trigger, {count:,} ids"}


def main() -> None:
    """Run both ways of each size in turn and print the table."""
    if child(measure):
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="watched after all have begun")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    options = parser.parse_args()
    sizes = SIZES
    if options.smoke:
        sizes, options.seconds, options.rounds = SMOKE, 1.0, 1
    rows = []
    with Service() as service:
        for way, count, interval in sizes:
            arguments = {
                "seconds": options.seconds,
                "stalls": True,
                "count": count,
                "interval": interval,
                "at_once": AT_ONCE,
            }
            ways = {
                one: partial(fresh, __file__, {"way": one, **arguments}, service.environment)
                for one in (way, "bare")
            }
            rounds = in_turn(ways, options.rounds)
            rows.append(_row(way, count, interval, rounds))
    header = [
        "waiting",
        "polls / s",
        "longest stall / CPU, ms",
        "bare loop's",
        "collector's walk, ms",
        "bare loop's walk",
        "sockets",
        "KiB each",
        "bare loop's KiB",
    ]
    print(table(header, rows))
    print(
        f"\nTargets: stalls below {LONGEST_STALL:g} ms, at most {CONNECTIONS} sockets (`max_connections`), "
        f"and less than {PER_ID:g} KiB an id of a list."
    )


def _row(way: str, count: int, interval: float, rounds: list[dict[str, Figures]]) -> list[object]:
    title = TITLES[way].format(count=count)
    return [
        f"{title}, each {interval:g} s",
        median(rounds, way, "per_second"),
        *(_longest(rounds, one, "stall", "stall_cpu") for one in (way, "bare")),
        *(_longest(rounds, one, "collector") for one in (way, "bare")),
        max(each[way]["sockets"] for each in rounds),
        median(rounds, way, "kib") / count,
        median(rounds, "bare", "kib") / count,
    ]


def _longest(rounds: list[dict[str, Figures]], way: str, *figures: str) -> str:
    return " / ".join(f"{max(each[way][figure] for each in rounds):.0f}" for figure in figures)


if __name__ == "__main__":
    main()
