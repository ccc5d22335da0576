# SPDX-License-Identifier: Apache-2.0
"""``python -m airflow_provider_dreambooth.sandbox``: the sandbox on the command line."""

# ruff: noqa: T201 - a command line talks by printing

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading

from airflow_provider_dreambooth.sandbox.faults import FAULTS, PICTURE_FAULTS
from airflow_provider_dreambooth.sandbox.sandbox import Sandbox
from airflow_provider_dreambooth.sandbox.settings import MODELS

WELCOME = """\
The Stable Diffusion API, played on this machine. It bills nothing.

  address     {url}
  key         {key}
  connection  export AIRFLOW_CONN_DREAMBOOTH_DEFAULT={connection}

Ctrl-C stops it."""


def main() -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    options = vars(_parser().parse_args())
    if options.pop("list_faults"):
        print(fault_tables())
        return 0
    options["key"] = options["key"] or ["sandbox-key"]
    options["models"] = (*MODELS, *options.pop("model"))
    options["sleeping_models"] = tuple(options.pop("sleeping_model"))
    options["faults"] = tuple(options.pop("fault")) or None
    low, high = options["run_time"][0], options["run_time"][-1]
    options["run_time"] = (low, high)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Sandbox(**options) as sandbox:
            connection = shlex.quote(sandbox.connection_json)
            print(
                WELCOME.format(url=sandbox.url, key=", ".join(options["key"]), connection=connection),
                flush=True,
            )
            stop.wait()
    except (OSError, RuntimeError, ValueError) as err:
        print(f"The sandbox cannot start: {err}", file=sys.stderr)
        return 1
    return 0


def fault_tables() -> str:
    """All faults, as two tables in Markdown."""
    tables = []
    for title, table in (("Replies", FAULTS), ("Pictures", PICTURE_FAULTS)):
        rows = [f"| {title} | argument | what happens |", "|---|---|---|"]
        for fault in table.values():
            argument = "`{}` = `{}`".format(*fault.argument) if fault.argument else ""
            rows.append(f"| `{fault.name}` | {argument} | {fault.about} |")
        tables.append("\n".join(rows))
    return "\n\n".join(tables)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_dreambooth.sandbox",
        description="Play the Stable Diffusion API (ModelsLab) on this machine.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    option = parser.add_argument
    option("--port", type=int, default=8765, help="0 takes a free one")
    option("--host", default="127.0.0.1", help="address to listen on")
    option(
        "--key",
        action="append",
        help="API key that is accepted (repeat for several); sandbox-key if none is given",
    )
    option("--certificate", help="PEM file with certificate and private key, for HTTPS")
    option("--seed", type=int, default=0, help="of pictures, run times and faults at random")
    option(
        "--run-time",
        type=float,
        nargs="+",
        default=[2.0, 8.0],
        metavar="SECONDS",
        help="of a submit; two are a range",
    )
    option("--max-parallel", type=int, help="jobs that run at a time; the others wait")
    option("--max-queued", type=int, help="unfinished requests of an account; over it submits are refused")
    option("--queue-retry-after", type=float, default=30, help="seconds told when the queue is full")
    option("--plan-limit", type=int, help="submits that an account may make; then its quota is used up")
    option("--eta-error", type=float, default=1.0, help="etas told are the true ones times this")
    option("--speed", type=float, default=1.0, help="run times, etas and reloads pass so many times faster")
    option("--fault-rate", type=float, default=0.0, help="share of fetches that fail at random, 0 to 1")
    option(
        "--fault",
        action="append",
        default=[],
        help="a fault to draw from at random (repeat); all transient ones if none is given",
    )
    option("--any-id", action="store_true", help="an unknown id becomes a job at its first fetch")
    option("--model", action="append", default=[], help="one more model id that exists (repeat)")
    option(
        "--sleeping-model",
        action="append",
        default=[],
        help="one more model id, of a model that must be reloaded before it can be used (repeat)",
    )
    option("--reload-time", type=float, default=120.0, help="seconds that a reload takes")
    option("--wrong-key-http", type=int, default=200, help="HTTP status of Invalid Api Key")
    option("--spam-filter", action="store_true", help="refuse identical submits")
    option("--spam-seconds", type=float, default=30.0, help="how long they are refused")
    option("--list-faults", action="store_true", help="print all faults as Markdown tables, and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
