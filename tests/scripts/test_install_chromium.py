# SPDX-License-Identifier: Apache-2.0
"""The script that gets a Chromium for the browser tests: it takes what is there, or says what is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "install_chromium.sh"
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="there is no bash")


@pytest.fixture
def machine(tmp_path):
    """A machine that has no commands but those that a test puts there; ``id`` says who is at work."""

    def run(*, uid: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        command(tmp_path / "id", f"echo {uid}")
        env = {"PATH": str(tmp_path), **environment}
        return subprocess.run(
            [BASH, str(SCRIPT)], env=env, check=False, capture_output=True, text=True, timeout=60
        )

    return run


def command(path: Path, does: str) -> Path:
    path.write_text(f"#!{BASH}\n{does}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_the_one_that_is_there_is_taken(machine, tmp_path, name):
    path = command(tmp_path / name, "")
    found = machine(uid=1000)
    assert (found.returncode, found.stdout.strip()) == (0, str(path))


def test_one_can_be_named(machine, tmp_path):
    command(tmp_path / "chromium", "")
    other = command(tmp_path / "other", "")
    assert machine(CHROMIUM=str(other)).stdout.strip() == str(other)


def test_one_that_is_named_and_not_there_is_told(machine, tmp_path):
    command(tmp_path / "chromium", "")
    found = machine(CHROMIUM="/nowhere/chromium")
    assert (found.returncode, found.stdout) == (1, "")
    assert "CHROMIUM is '/nowhere/chromium', which cannot be run" in found.stderr


@pytest.mark.parametrize("uid", [0, 1000])
def test_where_it_cannot_be_installed_it_says_what_to_do(machine, tmp_path, uid):
    if uid:  # there is apt-get, but not for everybody
        command(tmp_path / "apt-get", "exit 1")
    found = machine(uid=uid)
    assert (found.returncode, found.stdout) == (1, "")
    assert "apt-get install chromium" in found.stderr
    assert "CHROMIUM=/path/to/chromium" in found.stderr


def test_root_gets_it_by_apt_get(machine, tmp_path):
    chmod, path = shutil.which("chmod"), tmp_path / "chromium"
    made = f'[ "$1" = install ] || exit 0; echo noise; echo "#!{BASH}" > {path}; {chmod} 755 {path}'
    command(tmp_path / "apt-get", made)
    found = machine()
    assert (found.returncode, found.stdout.strip()) == (0, f"{tmp_path}/chromium")
    assert "Installing Chromium" in found.stderr


def test_an_install_that_fails_fails(machine, tmp_path):
    command(tmp_path / "apt-get", "echo 'no such package' >&2; exit 100")
    found = machine()
    assert found.returncode != 0
    assert "no such package" in found.stderr
