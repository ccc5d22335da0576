# SPDX-License-Identifier: Apache-2.0
"""What pacing by an ``eta`` is worth: requests per job and overshoot, against fixed intervals.

100,000 model jobs (``jobs.py`` has the model) are waited for by the pure poller itself, driven by a virtual
clock. So no figure here is a timing: the same seed gives the same table on any machine, in one round.

    python benchmarks/pacing.py --plot docs/images/pacing.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from common import table
from jobs import Figures, Job, Model, fixed, ours, overshoot_of_fixed, requests_of_fixed

from airflow_provider_dreambooth.api.polling import PollPolicy

TARGET = 0.55
INTERVALS = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0)
DEFAULT = PollPolicy().poke_interval
HEADER = ("waiting", "poke_interval", "requests", "overshoot, mean", "95 %")
VARIANTS = {
    "the eta errs evenly by 1/2 .. 2 (the model)": Model(),
    "evenly in its logarithm": Model(even=False),
    "the eta is of the run alone": Model(foresees_queue=False),
    "the same, evenly in its logarithm": Model(foresees_queue=False, even=False),
    "no queue": Model(queue=0.0),
    "20 s in the queue": Model(queue=20.0),
}
ODD = {
    "20 s in the queue, the eta is of the run alone": Model(queue=20.0, foresees_queue=False),
    "the wait begins 5 s after the submit": Model(late=5.0),
    "the eta errs by 1/3 .. 3": Model(error=3.0, even=False),
    "the eta errs by 1/10 .. 10": Model(error=10.0, even=False),
}
"""Beyond what is modelled: no targets."""


def ratios(jobs: Sequence[Job], found: Figures) -> tuple[float, float]:
    """Divide by a fixed interval's: overshoot at as many requests, and requests at as much overshoot."""
    return (
        found.overshoot / overshoot_of_fixed(jobs, found.requests),
        found.requests / requests_of_fixed(jobs, found.overshoot),
    )


def main() -> None:
    """Print the tables; draw the plot if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--rounds", type=int, default=1, help="for the sake of the others; one is enough here"
    )
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw the curves")
    parser.add_argument("--smoke", action="store_true", help="a few jobs: is it whole?")
    options = parser.parse_args()
    count = 300 if options.smoke else options.jobs
    jobs = Model().jobs(count, options.seed)

    curves = {
        "fixed interval": [fixed(jobs, each) for each in INTERVALS],
        "ours, eta known": [ours(jobs, PollPolicy(each)) for each in INTERVALS],
        "`exponential_backoff`, eta known": [ours(jobs, PollPolicy(each, True)) for each in INTERVALS],
    }
    print(f"{count:,} jobs, seed {options.seed}; overshoot in seconds. Fixed intervals wait one out first.\n")
    print(_curves(jobs, curves))
    print("\nWithout an eta, against the fixed interval of Airflow's sensors, which look at once.\n")
    print(_without_eta(jobs))
    print(f"\nOther jobs, at the default `poke_interval` of {DEFAULT:g} s.\n")
    print(_variants(count, options.seed))
    if options.plot:
        draw(curves, options.plot)


def _curves(jobs: Sequence[Job], curves: dict[str, list[Figures]]) -> str:
    rows = []
    for name, points in curves.items():
        for interval, found in zip(INTERVALS, points, strict=True):
            compared: Iterable[object] = ("", "") if name == "fixed interval" else ratios(jobs, found)
            rows.append((*_row(name, interval, found), *compared))
    equal = ("overshoot at equal requests", "requests at equal overshoot")
    return table(
        (*HEADER, *(f"{each}, ours / fixed (target at {DEFAULT:g} s: {TARGET})" for each in equal)), rows
    )


def _without_eta(jobs: Sequence[Job]) -> str:
    capped = PollPolicy(exponential_backoff=True, max_wait=60.0)
    rows = [
        _row("fixed interval", DEFAULT, fixed(jobs, DEFAULT, at_once=True)),
        _row("ours", DEFAULT, ours(jobs, PollPolicy(), told=False)),
        _row("`exponential_backoff`", DEFAULT, ours(jobs, PollPolicy(exponential_backoff=True), told=False)),
        _row("the same, `max_wait` 60 s", DEFAULT, ours(jobs, capped, told=False)),
    ]
    return table(HEADER, rows)


def _variants(count: int, seed: int) -> str:
    rows = []
    for name, model in {**VARIANTS, **ODD}.items():
        jobs = model.jobs(count, seed)
        found = ours(jobs, PollPolicy())
        same = fixed(jobs, DEFAULT)
        rows.append(
            (
                name,
                *(found.requests, found.overshoot, found.late),
                *(found.requests / same.requests, found.overshoot / same.overshoot),
                *ratios(jobs, found),
                TARGET if name in VARIANTS else "none",
            )
        )
    compared = ("requests", "overshoot", "overshoot at equal requests", "requests at equal overshoot")
    return table(
        ("jobs", *HEADER[2:], *(f"{each}, ours / fixed" for each in compared), "target of the last two"), rows
    )


def _row(name: str, interval: float, found: Figures) -> tuple[object, ...]:
    return (name, f"{interval:g} s", found.requests, found.overshoot, found.late)


def draw(curves: dict[str, list[Figures]], path: Path) -> None:
    """Draw the curves, the same bytes for the same figures; on white, so that a dark page shows them too."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "pacing", "svg.fonttype": "none", "font.size": 10})
    figure, axes = plt.subplots(figsize=(7.2, 4.6), facecolor="white", layout="constrained")
    looks = (("#777777", "s"), ("#0b6bcb", "o"), ("#c2570c", "^"))
    for (name, points), (color, marker) in zip(curves.items(), looks, strict=True):
        across, up = [each.requests for each in points], [each.overshoot for each in points]
        axes.plot(across, up, color=color, marker=marker, markersize=4, label=name.replace("`", ""))
        if name.startswith("`"):
            continue
        for interval, x, y in zip(INTERVALS, across, up, strict=True):
            below = name != "fixed interval"
            axes.annotate(
                f"{interval:g} s",
                (x, y),
                xytext=(-5, -9) if below else (5, 4),
                textcoords="offset points",
                ha="right" if below else "left",
                color=color,
                fontsize=8,
            )
    default = curves["ours, eta known"][INTERVALS.index(DEFAULT)]
    axes.plot(
        default.requests,
        default.overshoot,
        "o",
        color="#0b6bcb",
        markersize=11,
        fillstyle="none",
        label="the default",
    )
    axes.set(xscale="log", yscale="log", xlabel="requests per job", ylabel="mean overshoot in seconds")
    axes.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    axes.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
