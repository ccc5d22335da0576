# SPDX-License-Identifier: Apache-2.0
"""What a poll costs the triggerer's process: CPU seconds for 1,000 polls, over plain HTTP and HTTPS.

Compared are our triggers (one an id, and one with a list), a bare aiohttp loop (the bound), and the official
``HttpSensorTrigger``. The service is the same process for all, each measurement is a fresh process, and all
poll equally often.

What counts is all CPU time of the process, threads included, between two instants at which all ids are
being waited for: polls, sleeps, Airflow's log, TLS handshakes, and looking "localhost" up. What does not:
imports, the start of the triggers, and the triggerer's own work, which is the same whatever it runs.

    python benchmarks/polling.py --rounds 5
"""

from __future__ import annotations

import argparse
from functools import partial

from common import Figures, child, fresh, in_turn, median, ratio, table
from service import Service
from steady import measure
from ways import WAYS

TARGETS = {
    ("triggers", "bare"): (1.2, 1.2),
    ("list", "bare"): (1.1, 1.1),
    ("triggers", "http"): (0.45, 0.25),
    ("list", "http"): (0.45, 0.25),
}
"""At most so many times the other's CPU, over plain HTTP and over HTTPS."""
TITLES = {
    "triggers": "{count} triggers of ours",
    "list": "one trigger of ours, {count} ids",
    "bare": "bare aiohttp loop",
    "http": "{count} `HttpSensorTrigger`",
}


def main() -> None:
    """Run all ways in turn and print the tables."""
    if child(measure):
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=400, help="ids waited for")
    parser.add_argument("--interval", type=float, default=3.0, help="poke interval in seconds")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs")
    options = parser.parse_args()
    if options.smoke:
        options.count, options.interval, options.seconds, options.rounds = 10, 0.5, 0.5, 1
    for https in (True,) if options.smoke else (False, True):
        with Service(https=https) as service:
            size = {"count": options.count, "interval": options.interval, "seconds": options.seconds}
            ways = {
                way: partial(fresh, __file__, {"way": way, **size}, service.environment)
                for way in options.ways
            }
            rounds = in_turn(ways, options.rounds)
        print(
            f"\n{'HTTPS' if https else 'Plain HTTP'}: {options.count} ids, polled each "
            f"{options.interval:g} s, {options.rounds} rounds of {options.seconds:g} s\n"
        )
        rows = [
            [
                TITLES[way].format(count=options.count),
                *(median(rounds, way, figure) for figure in ("ms", "per_second", "sockets")),
                *(_against(rounds, way, other, https) for other in ("bare", "http")),
            ]
            for way in options.ways
        ]
        header = ["way", "CPU s / 1,000 polls", "polls / s", "sockets", "/ bare", "/ `HttpSensorTrigger`"]
        print(table(header, rows))


def _against(rounds: list[dict[str, Figures]], way: str, other: str, https: bool) -> str:
    if other not in rounds[0] or way == other:
        return ""
    target = TARGETS.get((way, other))
    found = f"{ratio(rounds, way, other, 'ms'):.2f}"
    return f"{found} (≤ {target[https]})" if target else found


if __name__ == "__main__":
    main()
