# SPDX-License-Identifier: Apache-2.0
"""The Makefile beside a .venv whose Python is gone, as an upgrade of Python leaves it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
MAKEFILE = Path(__file__).parents[2] / "Makefile"


@pytest.fixture
def make(tmp_path):
    """Run make in a folder with a stale .venv."""
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for folder in (
        "airflow_provider_dreambooth",
        "benchmarks",
        "docs",
        "example_dags",
        "scripts",
        "tests",
        ".ci",
    ):
        (tmp_path / folder).mkdir()
    (tmp_path / ".venv/bin/python").symlink_to(tmp_path / "gone")
    for name in ("bin/uv", "demo.stamp", "dev.stamp"):
        (tmp_path / ".venv" / name).touch()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}

    def run(*arguments: str) -> str:
        command = ["make", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True
        ).stdout

    return run


@pytest.mark.parametrize("target", ["demo", "test"])
def test_a_stale_venv_is_made_anew_before_it_is_used(make, target):
    told = make("-n", target)
    assert told.index("rm -rf .venv") < told.index("-m venv .venv") < told.index("--editable")


def test_clean_and_distclean_do_without_a_python_that_runs(make, tmp_path):
    (tmp_path / ".demo").mkdir()
    make("clean")
    assert not (tmp_path / ".demo").exists()
    assert (tmp_path / ".venv").exists()
    make("distclean")
    assert not (tmp_path / ".venv").exists()


def test_clean_goes_on_when_the_demo_cannot_be_stopped(make, tmp_path):
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".venv/bin/python").unlink()
    (tmp_path / ".venv/bin/python").symlink_to(shutil.which("false") or "/bin/false")
    make("clean")
    assert not (tmp_path / ".demo").exists()
