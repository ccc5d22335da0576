# SPDX-License-Identifier: Apache-2.0
"""What servers of one's own on this machine have in common: started, waited for, ended however that goes."""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

from scripts.processes import Processes


class LocalServer(ABC):
    """A context manager that starts a server, waits until it answers, and ends it."""

    processes: Processes

    @abstractmethod
    def begin(self) -> None:
        """Start it and wait until it answers."""

    def stop(self) -> None:
        """End it."""
        self.processes.stop()

    def wait_until(
        self, answer: Callable[[], object], *not_yet: type[Exception], seconds: float = 30
    ) -> None:
        """
        Ask until it answers.

        :param not_yet: what asking raises until then.
        :raises ProcessDied: if it ends.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer()
            except not_yet:
                self.processes.check()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def __enter__(self) -> Self:
        try:
            self.begin()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """Find a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
