# SPDX-License-Identifier: Apache-2.0
"""The jobs of ``make test-matrix``: what the page on compatibility tells of them, what a machine can run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from scripts import matrix

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = {version: f"/bin/python{version}" for version in ("3.11", "3.12", "3.13")}


def rows(header: str) -> list[list[str]]:
    """The cells of a table of the page."""
    [found] = re.findall(rf"^\| {re.escape(header)} .*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in found.splitlines()]


def names(job: matrix.Job, pythons: dict[str, str], *, short: bool = False) -> list[tuple[str, bool]]:
    return [(one.name, one.short) for one in matrix._by_python(job, pythons, short=short)]


def test_the_page_tells_the_jobs():
    told = {name: (airflow, day, all_, few) for name, airflow, day, all_, few in rows("job")}
    assert list(told) == [job.name for job in matrix.JOBS]
    for job in matrix.JOBS:
        runs = [(name.rpartition("-py")[2], short) for name, short in names(job, PYTHONS)]
        full = ", ".join(python for python, short in runs if not short)
        few = ", ".join(python for python, short in runs if short)
        day = "the lowest that the package accepts" if job.lowest else job.day
        assert told[job.name] == (job.airflow, day, full, few)
    first, *_, last = [job.name for job in matrix.JOBS if job.system]
    assert (
        f"All tests of the jobs `{first}` to `{last}` have some with a whole Airflow of real processes"
        in PAGE
    )


def test_what_is_selected_or_left_out_is_there():
    for name in (*matrix.LEFT_OUT, *matrix.SHORT):
        assert list((ROOT / "tests").glob(name)), name


def test_what_the_tests_import_is_copied_with_them():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"airflow_provider_dreambooth"}
    wanted: dict[str, Path] = {}
    for path in (ROOT / "tests").rglob("*.py"):
        first = path.relative_to(ROOT / "tests").parts[0]
        if not any(fnmatch(first, each) for each in matrix.LEFT_OUT):
            found = re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
            wanted.update((name, path) for name in found if name in folders)
    assert {"benchmarks", "tests"} <= set(wanted)
    assert set(wanted) <= set(matrix.COPIED), wanted


def test_the_page_tells_the_lowest_versions():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    floors = {tuple(each.split(",")[0].split(">=")) for group in groups for each in group}
    assert {tuple(row) for row in rows("package")} == floors


def test_a_python_that_is_missing_is_replaced_or_left_out(capsys):
    found = {"3.12": PYTHONS["3.12"]}
    assert names(matrix.NEWEST, found) == [("3.3-py3.12", False)]
    assert "Left out: Airflow 3.3.2 on Python 3.11" in capsys.readouterr().out
    assert names(matrix.NEWEST, PYTHONS, short=True) == [("3.3-py3.13", True)]
    with pytest.raises(SystemExit, match=r"2.11 needs Python 3.11 or 3.12"):
        names(matrix.OLDEST, {"3.13": "python"})


def test_a_job_that_is_unknown_is_told():
    command = [sys.executable, "-m", "scripts.matrix", "2.10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "no such job: 2.10" in done.stderr
