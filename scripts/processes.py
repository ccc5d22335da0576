# SPDX-License-Identifier: Apache-2.0
"""Processes that belong together: started in groups of their own, watched, and ended to the last child."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

GRACE = 3.0  # seconds between asking a process to end and ending it: nothing of value is lost


class ProcessDied(RuntimeError):
    """A process ended that should be running; the message quotes the end of its log."""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C and the like: an end that is broken off half-way leaves processes running."""
    if threading.current_thread() is not threading.main_thread():  # no signal interrupts it anyway
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Processes:
    """
    Run named processes, each with its log in ``folder/NAME.log``; a context manager that ends them all.

    What runs is also written to ``folder/running.json``: :func:`stop_recorded` can end it from elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str], *, user: str | None = None
    ) -> None:
        """Start one, as ``user`` if given; its log goes on where an earlier one of that name left it."""
        if name in self._running:
            raise ValueError(f"{name} runs already")
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=user,
                start_new_session=True,  # Ctrl-C reaches the one who started it, who ends it in order
            )
        self._record()

    def log(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.folder / f"{name}.log"

    def check(self) -> None:
        """:raises ProcessDied: if one has ended by itself."""
        for name, process in self._running.items():
            if (code := process.poll()) is not None:
                lines = self.log(name).read_text(errors="replace").splitlines()[-25:]
                quoted = "\n".join(f"  | {line}" for line in lines)
                raise ProcessDied(f"{name} ended with code {code}. The end of {self.log(name)}:\n{quoted}")

    def ended(self) -> list[str]:
        """Forget those that have ended by themselves, and return their names: they can be started again."""
        names = [name for name, process in self._running.items() if process.poll() is not None]
        self._end([self._running.pop(name) for name in names], grace=0)  # what they started may live on
        return names

    def kill(self, name: str) -> None:
        """End one as a power cut would, and everything that it started."""
        process = self._running.pop(name)
        self._end([process], grace=0)

    def end(self, name: str, number: int, seconds: float = 30) -> None:
        """Ask one to end by a signal, wait so long for it, then end what is left."""
        process = self._running.pop(name)
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        self._end([process], grace=0)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to one and to everything that it started: SIGSTOP freezes it, SIGCONT wakes it."""
        for process in _families([self._running[name].pid]):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    @uninterrupted()
    def stop(self) -> None:
        """End all of them: asked first, all at once, then made to."""
        processes = list(self._running.values())
        self._running.clear()
        self._end(processes, grace=GRACE)

    def leave(self) -> None:
        """Let them run on after this process; :func:`stop_recorded` ends them."""
        for process in self._running.values():
            process.returncode = 0  # or Popen warns that nobody waits for it, as is meant
        self._running.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, processes: Sequence[subprocess.Popen[bytes]], grace: float) -> None:
        if grace:
            for process in processes:
                process.terminate()
            deadline = time.monotonic() + grace
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0, deadline - time.monotonic()))
        for process in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left, or only zombies
                os.killpg(process.pid, signal.SIGKILL)
        for process in processes:
            process.wait()
        # Those who left the group for one of their own come last: psutil fails where there is no /proc.
        with contextlib.suppress(OSError, LookupError, psutil.Error):
            _end([process.pid for process in processes], grace=0)
        if processes:  # the record of those that were left stays as it is
            self._record()

    def _record(self) -> None:
        started = {}
        for name, process in self._running.items():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended
                started[name] = {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
        unfinished = self.folder / "running.json.part"
        unfinished.write_text(json.dumps(started, indent=1))
        unfinished.replace(self.folder / "running.json")


@uninterrupted()
def stop_recorded(folder: Path) -> list[str]:
    """End what an earlier :class:`Processes` on this folder left running; return the names of what ran."""
    record = folder / "running.json"
    try:
        entries = json.loads(record.read_text())
        recorded = {name: (entry["pid"], entry["started"]) for name, entry in entries.items()}
    except FileNotFoundError:
        return []
    except (ValueError, KeyError):  # damaged: it tells nothing
        recorded = {}
    found = {}
    for name, (pid, started) in recorded.items():
        # The number may belong to somebody else by now: the time of birth tells.
        with contextlib.suppress(psutil.NoSuchProcess):
            if abs(psutil.Process(pid).create_time() - started) < 1:
                found[name] = pid
    _end(list(found.values()), grace=GRACE)
    record.unlink()
    return sorted(found)


def _end(leaders: Sequence[int], grace: float) -> None:
    family = _families(leaders)
    if grace:
        chiefs = [process for process in family if process.pid in leaders]
        for process in chiefs:  # each sees to its own children
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _wait(chiefs, grace)
        family += _families(leaders)  # what was started meanwhile
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    if left := _wait(family, 10):
        raise RuntimeError(f"cannot end the processes {[process.pid for process in left]}")


def _families(leaders: Sequence[int]) -> list[psutil.Process]:
    """Everybody in the sessions of these processes: also children whose parent is gone already."""
    family = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process.pid) in leaders and _runs(process):
                family.append(process)
    return family


def _runs(process: psutil.Process) -> bool:
    """Whether it still does; one that only waits for somebody to take notice of its end does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait(family: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until none of them runs; return those that still do."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in family if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left
