# SPDX-License-Identifier: Apache-2.0
"""How the cost of an id grows with the ids of one trigger: CPU time and memory, of 100, 1,000 and 10,000.

Each size polls equally often a second (its poke interval is as much longer): the process is equally busy, and
only how much it has to keep in view differs. The last two columns divide by the figures of the smallest size
in the same round. Memory is that of Python's objects, measured in runs of their own, as tracing takes time;
it includes the session, which is there once.

    python benchmarks/growth.py --rounds 3
"""

from __future__ import annotations

import argparse
from functools import partial

from common import Figures, child, fresh, in_turn, median, ratio, table
from service import Service
from steady import measure

SIZES = (100, 1000, 10_000)
LEAST_SECONDS = 8.0
FLAT = 1.1
"""At most so many times the smallest size's: level, or falling."""


def main() -> None:
    """Run the sizes in turn and print the table."""
    if child(measure):
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-second", type=float, default=400.0, help="polls of all ids")
    parser.add_argument("--polls", type=int, default=2, help="of each id, for 8 seconds at least")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    options = parser.parse_args()
    sizes = SIZES
    if options.smoke:
        sizes, options.rounds = (20, 200), 1
    least = 0.5 if options.smoke else LEAST_SECONDS
    with Service() as service:
        ways = {
            str(size): partial(_measure, service, size, size / options.per_second, options.polls, least)
            for size in sizes
        }
        rounds = in_turn(ways, options.rounds)
    first = str(sizes[0])
    rows = [
        [
            f"{size:,}",
            f"{size / options.per_second:g} s",
            *(median(rounds, str(size), figure) for figure in ("polls", "ms", "kib")),
            *(f"{ratio(rounds, str(size), first, figure):.2f} (≤ {FLAT:g})" for figure in ("ms", "kib")),
        ]
        for size in sizes
    ]
    header = ["ids", "polled each", "polls", "CPU ms an id and poll", "KiB an id"]
    print(table([*header, f"CPU / {first} ids'", f"KiB / {first} ids'"], rows))


def _measure(service: Service, count: int, interval: float, polls: int, least: float) -> Figures:
    arguments = {"way": "list", "count": count, "interval": interval}
    seconds = max(polls * interval, least)
    figures = fresh(__file__, {**arguments, "seconds": seconds}, service.environment)
    objects = fresh(__file__, {**arguments, "seconds": 0.5, "objects": True}, service.environment)
    return {**figures, "kib": objects["kib"] / count}


if __name__ == "__main__":
    main()
