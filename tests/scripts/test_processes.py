# SPDX-License-Identifier: Apache-2.0
"""Real processes, started in groups: whatever happens, none is left."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from scripts.processes import ProcessDied, Processes, stop_recorded

# Starts a child that outlives its parent and hears no SIGTERM, and writes both numbers to a file.
PARENT = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(sys.argv[1] + ".part", "w").write(f"{os.getppid()} {os.getpid()}")
    os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(60)
"""


@pytest.fixture
def family(tmp_path, monkeypatch):
    """A parent and its stubborn child, as processes of ``tmp_path``."""
    monkeypatch.setattr("scripts.processes.GRACE", 0.5)
    processes, told = Processes(tmp_path), tmp_path / "told"
    processes.start("parent", [sys.executable, "-c", PARENT, str(told)], os.environ)
    until(told.exists)
    return processes, [int(each) for each in told.read_text().split()]


def until(done) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]


def test_stop_ends_also_a_child_that_does_not_listen(family):
    processes, pids = family
    assert alive(pids) == pids
    processes.stop()
    assert alive(pids) == []


def test_kill_ends_the_whole_family_and_the_name_is_free_again(family):
    processes, pids = family
    processes.kill("parent")
    assert alive(pids) == []
    processes.start("parent", [sys.executable, "-c", ""], os.environ)
    processes.stop()


def test_a_signal_reaches_the_whole_family(family):
    processes, pids = family
    try:
        processes.signal("parent", signal.SIGSTOP)
        until(lambda: {psutil.Process(pid).status() for pid in pids} == {psutil.STATUS_STOPPED})
        processes.signal("parent", signal.SIGCONT)
        until(lambda: {psutil.Process(pid).status() for pid in pids} == {psutil.STATUS_SLEEPING})
    finally:
        processes.stop()


def test_one_that_is_asked_to_end_takes_its_family_along(family):
    processes, pids = family
    before = processes._running["parent"]
    processes.end("parent", signal.SIGTERM)
    assert before.returncode == 0, "it was not killed"
    assert alive(pids) == []


def test_whoever_has_ended_is_named_once_and_can_be_started_again(family):
    processes, pids = family
    assert processes.ended() == []
    os.kill(pids[0], signal.SIGKILL)
    until(lambda: alive(pids) == pids[1:])
    assert processes.ended() == ["parent"]
    assert alive(pids) == []
    assert processes.ended() == []
    processes.start("parent", [sys.executable, "-c", ""], os.environ)
    processes.stop()


def test_an_exception_in_the_block_ends_them(family):
    processes, pids = family
    with pytest.raises(KeyboardInterrupt), processes:
        raise KeyboardInterrupt
    assert alive(pids) == []


def test_what_was_left_running_is_stopped_later(family, tmp_path):
    processes, pids = family
    processes.leave()
    processes.stop()
    assert alive(pids) == pids
    assert stop_recorded(tmp_path) == ["parent"]
    assert alive(pids) == []
    assert stop_recorded(tmp_path) == []


def test_a_number_that_belongs_to_somebody_else_by_now_is_left_alone(tmp_path):
    (tmp_path / "running.json").write_text(f'{{"old": {{"pid": {os.getpid()}, "started": 1.0}}}}')
    assert stop_recorded(tmp_path) == []


@pytest.mark.parametrize("text", ["", '{"parent": {"pi', '{"parent": {}}'])
def test_a_damaged_record_tells_of_nothing(tmp_path, text):
    (tmp_path / "running.json").write_text(text)
    assert stop_recorded(tmp_path) == []
    assert not (tmp_path / "running.json").exists()


def test_the_record_is_replaced_as_a_whole(family, tmp_path):
    processes, _ = family
    before = (tmp_path / "running.json").read_text()
    (tmp_path / "earlier.json").hardlink_to(tmp_path / "running.json")
    processes.stop()
    assert (tmp_path / "earlier.json").read_text() == before
    assert (tmp_path / "running.json").read_text() == "{}"


def test_ctrl_c_does_not_break_off_the_end(tmp_path):
    interrupter = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (os.kill(os.getppid(), signal.SIGINT), sys.exit(7)))\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    heard: list[int] = []

    def handler(number: int, _: object) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGINT, handler)
    try:
        processes = Processes(tmp_path)
        processes.start("interrupter", [sys.executable, "-c", interrupter], os.environ)
        process = processes._running["interrupter"]
        until(lambda: "ready" in processes.log("interrupter").read_text())
        processes.stop()
        assert (process.returncode, heard) == (7, [])
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("proc", ["", "missing"], ids=["empty", "missing"])
def test_stop_ends_them_also_without_proc(family, tmp_path, proc, monkeypatch):
    processes, pids = family
    (tmp_path / "proc").mkdir()
    with monkeypatch.context() as without:
        without.setattr(psutil, "PROCFS_PATH", str(tmp_path / "proc" / proc), raising=False)
        processes.stop()
    until(lambda: alive(pids) == [])


def test_one_that_ends_by_itself_is_quoted(tmp_path):
    with Processes(tmp_path) as processes:
        processes.start("brief", [sys.executable, "-c", "raise SystemExit('no such port')"], os.environ)
        until(lambda: died(processes))
        with pytest.raises(ProcessDied, match=r"brief ended with code 1(?s:.*)\| no such port"):
            processes.check()


def died(processes: Processes) -> bool:
    try:
        processes.check()
    except ProcessDied:
        return True
    return False


def test_the_log_of_a_restarted_one_goes_on(tmp_path: Path):
    with Processes(tmp_path) as processes:
        for word in ("first", "second"):
            processes.start(
                "speaker",
                [sys.executable, "-uc", f"import time; print({word!r}); time.sleep(60)"],
                os.environ,
            )
            until(lambda word=word: word in processes.log("speaker").read_text())
            processes.kill("speaker")
    assert processes.log("speaker").read_text().split("\n")[0] == "first"
