# SPDX-License-Identifier: Apache-2.0
"""The service played on this machine, in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

from scripts.local_server import LocalServer, free_port
from scripts.processes import Processes

KEY = "sandbox-key"


class LocalSandbox(LocalServer):
    """
    Run the sandbox; a context manager that starts it, waits until it answers, and ends it.

    :param folder: where it has its log and its record of what runs.
    :param options: further options of its command line.
    :param key: that it accepts.
    """

    def __init__(self, folder: Path, *options: str, key: str = KEY) -> None:
        self._options, self._key = options, key
        self.processes = Processes(folder)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.connection_json = json.dumps({"conn_type": "dreambooth", "host": self.url, "password": key})
        self._session = requests.Session()
        self._session.trust_env = False  # it is this machine: no proxy leads there

    def add(self, **wishes: Any) -> str:
        """Queue a request, as somebody else would have done; return its id."""
        return str(self._tell("requests", **wishes)["request_id"])

    def finish(self, request_ids: Sequence[str]) -> None:
        """Make requests ready now."""
        self._tell("finish", request_ids=list(request_ids))

    def script(self, endpoint: str, replies: Sequence[str]) -> None:
        """Answer the next requests to an endpoint with these faults."""
        self._tell("script", endpoint=endpoint, replies=list(replies))

    def set_key(self, key: str) -> None:
        """From now on accept this key and no other."""
        self._tell("key", key=key)

    def submits(self) -> list[dict[str, Any]]:
        """Every submit so far, accepted or not."""
        return list(self._ask("submits"))

    def billed(self) -> int:
        """How many submits were accepted, and would be billed."""
        return int(self._ask("billing")["accepted"])

    def told(self, request_id: str) -> dict[str, Any]:
        """What the service knows of a request."""
        return dict(self._ask(f"requests/{request_id}"))

    def journal(self) -> list[dict[str, Any]]:
        """What the service was asked so far."""
        return list(self._ask("journal"))

    def _tell(self, what: str, **wishes: Any) -> dict[str, Any]:
        data = json.dumps(wishes)  # as `json=`, requests would refuse an infinite number
        reply = self._session.post(f"{self.url}/sandbox/{what}", data=data, timeout=60)
        reply.raise_for_status()
        return dict(reply.json())

    def _ask(self, what: str) -> Any:
        reply = self._session.get(f"{self.url}/sandbox/{what}", timeout=60)
        reply.raise_for_status()
        return reply.json()

    def begin(self) -> None:
        """Start it and wait until it answers."""
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-m", "airflow_provider_dreambooth.sandbox", "--port", port]
        command += ["--key", self._key, *self._options]
        self.processes.start("sandbox", command, os.environ)
        self.wait_until(self.journal, requests.ConnectionError)

    def stop(self) -> None:
        """End it."""
        try:
            self._session.close()
        finally:
            super().stop()
