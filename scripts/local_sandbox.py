# SPDX-License-Identifier: Apache-2.0
"""The service played on this machine, in a process of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from scripts.local_airflow import free_port
from scripts.processes import Processes

KEY = "sandbox-key"


class LocalSandbox:
    """
    Run the sandbox; a context manager that starts it, waits until it answers, and ends it.

    :param folder: where it has its log and its record of what runs.
    :param options: further options of its command line.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._options = options
        self.processes = Processes(folder)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.connection_json = json.dumps({"conn_type": "dreambooth", "host": self.url, "password": KEY})
        self._session = requests.Session()
        self._session.trust_env = False  # it is this machine: no proxy leads there

    def add(self, **wishes: Any) -> str:
        """Queue a request, as somebody else would have done; return its id."""
        reply = self._session.post(f"{self.url}/sandbox/requests", json=wishes, timeout=10)
        reply.raise_for_status()
        return str(reply.json()["request_id"])

    def script(self, endpoint: str, replies: list[str]) -> None:
        """Answer the next requests to an endpoint with these faults."""
        wish = {"endpoint": endpoint, "replies": replies}
        self._session.post(f"{self.url}/sandbox/script", json=wish, timeout=10).raise_for_status()

    def submits(self) -> list[dict[str, Any]]:
        """Every submit so far, accepted or not."""
        return list(self._session.get(f"{self.url}/sandbox/submits", timeout=10).json())

    def billed(self) -> int:
        """How many submits were accepted, and would be billed."""
        return int(self._session.get(f"{self.url}/sandbox/billing", timeout=10).json()["accepted"])

    def told(self, request_id: str) -> dict[str, Any]:
        """What the service knows of a request."""
        reply = self._session.get(f"{self.url}/sandbox/requests/{request_id}", timeout=10)
        reply.raise_for_status()
        return dict(reply.json())

    def journal(self) -> list[dict[str, Any]]:
        """What the service was asked so far."""
        return list(self._session.get(f"{self.url}/sandbox/journal", timeout=60).json())

    def __enter__(self) -> Self:
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-m", "airflow_provider_dreambooth.sandbox", "--port", port, "--key", KEY]
        command += self._options
        try:
            self.processes.start("sandbox", command, os.environ)
            self._wait_until_it_answers(30)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        try:
            self._session.close()
        finally:
            self.processes.stop()

    def _wait_until_it_answers(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.journal()
            except requests.ConnectionError:
                self.processes.check()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the sandbox does not answer at {self.url}") from None
                time.sleep(0.1)
            else:
                return
