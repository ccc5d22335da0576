# SPDX-License-Identifier: Apache-2.0
"""
The demo: eight prompts, submitted to a played service, waited for and saved by a DAG in a real Airflow.

``python -m scripts.demo [--keep]`` runs it, ``python -m scripts.demo --stop`` ends what ``--keep`` has left.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from scripts.local_airflow import COMPONENTS, PASSWORD, USERNAME, LocalAirflow
from scripts.local_sandbox import KEY, LocalSandbox
from scripts.processes import stop_recorded

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".demo"
DAG_ID = "example_dreambooth_gallery"
PICTURES: tuple[dict[str, Any], ...] = (
    {"prompt": "a red fox in the snow"},
    {"prompt": "a lighthouse in a storm, oil on canvas", "width": 768, "height": 512},
    {"prompt": "an astronaut watering tomatoes"},
    {"prompt": "a teapot made of glass", "samples": 2},
    {"prompt": "a library under the sea", "width": 512, "height": 768},
    {"prompt": "a paper crane on a piano", "seed": 1964},
    {"prompt": "two owls playing chess"},
    {"prompt": "a night train crossing the alps", "width": 1024, "height": 576},
)
# The service is given a hard time: one submit finds the queue full, and two looks an error.
SERVICE = ("--run-time", "2", "12")
FAULTS = {"submit": ["ok", "ok", "queue_full_2025:6"], "fetch": ["ok", "http_500", "ok", "http_429:2"]}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TASK_STATES = {
    "running": "runs on a worker",
    "deferred": "waits in the triggerer, holding no worker slot",
    "up_for_retry": "failed, will be tried again",
}


class Demo:
    """One run of the demo, with its clock."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._shown: dict[str, str] = {}
        self._ready: set[str] = set()
        self._submits = 0
        self.sandbox = LocalSandbox(FOLDER / "sandbox", *SERVICE)

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """One line of the timeline."""
        print(f"{self.seconds:6.1f} s  {text}", flush=True)

    def show(self, states: Mapping[str, str]) -> None:
        """Tell what has changed: the tasks' states, and what the service has handed out."""
        self.sandbox.processes.check()
        submits = self.sandbox.submits()
        prompts = {each["request_id"]: each["body"]["prompt"] for each in submits}
        for each in submits[self._submits :]:
            became = f"request {each['request_id']}" if each["request_id"] else each["reply"]
            self.say(f"  submitted: {each['body']['prompt']}: {became}")
        self._submits = len(submits)
        for record in self.sandbox.journal():
            request_id = record["request_id"]
            fetched = record["path"].endswith("/fetch") and record["answered_as"] == "success"
            if fetched and request_id not in self._ready:
                self._ready.add(request_id)
                done = f"{len(self._ready)} of {len(PICTURES)}"
                self.say(f"  {done} ready: {request_id} {prompts.get(request_id, '')}")
        for task, state in sorted(states.items()):
            if state not in ("queued", "scheduled", self._shown.get(task, "none")):
                self._shown[task] = state
                self.say(
                    f"Task {task}: {state}{': ' if state in TASK_STATES else ''}{TASK_STATES.get(state, '')}"
                )

    def summary(self, airflow: LocalAirflow, run_id: str) -> None:
        """Say where everything is."""
        manifest = airflow.api.xcom(DAG_ID, run_id, "save_pictures", "manifest")
        uris = airflow.api.xcom(DAG_ID, run_id, "save_pictures")
        missing = [uri for uri in uris if not local_path(uri).is_file()]
        if missing or {entry["prompt"] for entry in manifest} != {each["prompt"] for each in PICTURES}:
            raise RuntimeError(f"the run succeeded, but its pictures are not all there; missing: {missing}")
        fetches = Counter(each["request_id"] for each in self.sandbox.journal() if "fetch" in each["path"])
        folder = local_path(uris[0]).parent
        print("\n   Request  Fetches        Seed  Prompt")
        for entry in manifest:
            if entry["index"] == 0:
                known = f"{entry['request_id']:>10}  {fetches[entry['request_id']]:>7}  {entry['seed']:>10}"
                print(f"{known}  {entry['prompt']}")
        sent, billed = len(self.sandbox.submits()), self.sandbox.billed()
        print(f"\nBilled         {billed} requests ({sent} submits, {sent - billed} refused for load)")
        logs = airflow.home / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}"
        print(f"Pictures       {folder}  ({len(uris)})")
        print(f"Manifest       {folder / 'manifest.json'}")
        print(f"Task logs      {logs}")
        print(f"Contact sheet  {(folder / 'index.html').as_uri()}\n")

    def run(self, *, keep: bool) -> None:
        """Do it all. :raises RuntimeError: if the DAG run fails."""
        with self.sandbox:
            self.say(f"The service is played at {self.sandbox.url}")
            airflow = LocalAirflow(
                FOLDER / "airflow",
                ROOT / "example_dags",
                env={"AIRFLOW_CONN_DREAMBOOTH_DEFAULT": self.sandbox.connection_json},
                database_cache=FOLDER / "cache",
            )
            self.say(f"Airflow {metadata.version('apache-airflow')} starts: {', '.join(COMPONENTS)} …")
            with airflow:
                self.say("Airflow is up and healthy")
                for endpoint, replies in FAULTS.items():
                    self.sandbox.script(endpoint, replies)
                conf = {"pictures": list(PICTURES), "destination": (FOLDER / "pictures").as_uri()}
                run_id = airflow.api.trigger(DAG_ID, conf)
                self.say(f"DAG {DAG_ID} runs: {len(PICTURES)} prompts to draw")
                state = airflow.api.wait_for_run(DAG_ID, run_id, seconds=180, watch=self.show)
                if state != "success":
                    raise RuntimeError(f"the run ended as {state}.\n{_reasons(airflow, run_id)}")
                self.say("The run has succeeded")
                self.summary(airflow, run_id)
                if keep:
                    airflow.processes.leave()
                    self.sandbox.processes.leave()
                    print(f"Airflow        {airflow.url}  (user {USERNAME}, password {PASSWORD})")
                    print(f"The service    {self.sandbox.url}  (key {KEY})")
                    print("\nBoth go on until: make demo-stop\n")
        print(f"Done in {self.seconds:.0f} seconds" + ("." if keep else "; everything is stopped."))


def _reasons(airflow: LocalAirflow, run_id: str) -> str:
    """What the tasks that failed had to say, from their logs."""
    lines = []
    for task, state in airflow.api.task_states(DAG_ID, run_id).items():
        lines.append(f"{task}: {state}")
        for record in map(json.loads, airflow.task_log(DAG_ID, run_id, task).splitlines()):
            lines += [
                f"  {each['exc_type']}: {each['exc_value']}" for each in record.get("error_detail") or ()
            ]
    return "\n".join(lines)


def stop() -> list[str]:
    """End what an earlier demo has left running."""
    return [*stop_recorded(FOLDER / "airflow" / "processes"), *stop_recorded(FOLDER / "sandbox")]


def _stop_the_rest() -> str:
    """End what an interruption at a bad moment may have left; return what is true then."""
    try:
        stop()
    except Exception as error:  # noqa: BLE001 - it is told, beside what went wrong before
        return f"not everything is stopped ({error}): make demo-stop tries again"
    return "everything is stopped"


def _interrupted(*_: object) -> None:
    for number in SIGNALS:  # once is enough: a second one would break off the stopping
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave Airflow and the sandbox running")
    parser.add_argument(
        "--stop", action="store_true", help="end what --keep has left running, and do no more"
    )
    options = parser.parse_args()
    try:
        stopped = stop()
    except Exception as error:  # noqa: BLE001 - whatever it is, its message is enough
        print(f"Cannot stop what an earlier demo has left running: {error}", file=sys.stderr)
        return 1
    if options.stop:
        print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")
        return 0
    if stopped:
        print("An earlier demo was still running; it is stopped.")
    for folder in ("airflow", "sandbox", "pictures"):
        shutil.rmtree(FOLDER / folder, ignore_errors=True)
    for number in SIGNALS:
        signal.signal(number, _interrupted)
    try:
        Demo().run(keep=options.keep)
    except KeyboardInterrupt:
        print(f"\nInterrupted; {_stop_the_rest()}.", file=sys.stderr)
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, its message comes last
        print(
            f"\nThe demo has failed: {error}\nLogs are under {FOLDER}; {_stop_the_rest()}.",
            file=sys.stderr,
        )
        return 1
    return 0


def local_path(uri: str) -> Path:
    """The file that a ``file://`` URI names."""
    return Path(unquote(urlsplit(uri).path))


if __name__ == "__main__":
    sys.exit(main())
