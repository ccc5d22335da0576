# SPDX-License-Identifier: Apache-2.0
"""How the cost of an id grows with the ids of one trigger: CPU time and memory, of 100, 1,000 and 10,000.

Each size polls equally often a second (its poke interval is as much longer), until each id was polled as many
times: the process is equally busy, and only how much it has to keep in view differs. The last two columns
divide by the figures of the smallest size in the same round. Memory is that of Python's objects, measured in
runs of their own, as to trace it takes time; it includes the session, which is there once.

    python benchmarks/growth.py --rounds 3
"""

from __future__ import annotations

import argparse
from functools import partial

from common import Figures, child, fresh, in_turn, median, ratio, table
from service import Service
from steady import measure

SIZES = (100, 1000, 10_000)


def main() -> None:
    """Run the sizes in turn and print the table."""
    if child(measure):
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-second", type=float, default=400.0, help="polls of all ids")
    parser.add_argument("--polls", type=int, default=2, help="of each id")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    options = parser.parse_args()
    sizes = SIZES
    if options.smoke:
        sizes, options.rounds = (20, 200), 1
    with Service() as service:
        ways = {
            str(size): partial(_measure, service, size, options.per_second, options.polls) for size in sizes
        }
        rounds = in_turn(ways, options.rounds)
    first = str(sizes[0])
    rows = [
        [
            f"{int(size):,}",
            *(median(rounds, size, figure) for figure in ("polls", "ms", "id_ms", "id_kib")),
            *(f"{ratio(rounds, size, first, figure):.2f} (≤ 1)" for figure in ("id_ms", "id_kib")),
        ]
        for size in ways
    ]
    header = [
        "ids",
        "polls",
        "CPU ms a poll",
        "CPU ms an id",
        "KiB an id",
        f"CPU / {first} ids'",
        f"KiB / {first} ids'",
    ]
    print(f"Each id polled {options.polls} times, {options.per_second:g} polls a second\n")
    print(table(header, rows))


def _measure(service: Service, count: int, per_second: float, polls: int) -> Figures:
    interval = count / per_second
    arguments = {"way": "list", "count": count, "interval": interval}
    figures = fresh(__file__, {**arguments, "seconds": polls * interval}, service.environment)
    objects = fresh(__file__, {**arguments, "seconds": 0.5, "objects": True}, service.environment)
    return {**figures, "id_ms": figures["ms"] * polls, "id_kib": objects["kib"] / count}


if __name__ == "__main__":
    main()
