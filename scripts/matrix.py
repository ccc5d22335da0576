# SPDX-License-Identifier: Apache-2.0
"""
``make test-matrix``: the tests on each Airflow that this package supports, against the wheel, not the tree.

Each job has a fresh virtual environment. Airflow comes first, with the packages of its own time: a date
stands in for its constraints file. Then the built wheel is installed as a user does it, without constraints,
and the tests are run from a copy of the tree in which the package is not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".venv-matrix"
UV = f"{ROOT}/.venv/bin/uv"

AS_OF = "2026-11-24"
"""What is installed beside Airflow is of this day, so that a run today and one next week test the same."""


@dataclass(frozen=True)
class Job:
    """
    One environment and the tests that are run in it.

    :param airflow: the version, exactly.
    :param day: Airflow's own dependencies are those of this day, shortly after its release.
    :param pythons: the first of them that this machine has runs all tests.
    :param also: run the short selection, each that the machine has.
    :param pins: what a constraints file would hold back besides.
    """

    name: str
    airflow: str
    day: str
    pythons: tuple[str, ...]
    also: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    package: str = "whl"
    lowest: bool = False
    short: bool = False
    examples: bool = True
    """Whether the example DAGs are run too, which takes longest: with one Python of each Airflow."""
    system: bool = True
    """Whether the tests that start a whole Airflow are among all; on the newest, `make test` has them."""
    strict: bool = False
    """Whether every warning is an error: older Airflows have many of their own."""


NEWEST = Job("3.3", "3.3.2", AS_OF, ("3.13", "3.12", "3.11"), also=("3.11",), system=False, strict=True)
OLDEST = Job(
    "2.11", "2.11.0", "2025-06-01", ("3.11", "3.12"), also=("3.12",), pins=("universal-pathlib<0.3",)
)
JOBS = (
    OLDEST,
    Job("3.0", "3.0.6", "2025-09-15", ("3.12", "3.11")),
    Job("3.1", "3.1.8", "2026-03-20", ("3.12", "3.13", "3.11"), also=("3.13",)),
    Job("3.2", "3.2.2", "2026-06-10", ("3.13", "3.12", "3.11"), also=("3.11",)),
    NEWEST,
    # A newer HTTP provider, which comes with Airflow 2.11, wants a newer aiohttp than this package.
    replace(
        OLDEST,
        name="lowest",
        pythons=("3.11",),
        also=(),
        pins=(*OLDEST.pins, "apache-airflow-providers-http==5.3.0"),
        lowest=True,
        examples=False,
        system=False,
    ),
    replace(
        NEWEST, name="sdist", pythons=("3.12", "3.11"), also=(), package="tar.gz", short=True, examples=False
    ),
)
EXTRAS = ("pictures", "s3", "sandbox")
# The tests that read the tree, or start what does not depend on Airflow's version, are those of `make test`.
# So are the recipes of the documentation, which take long; the short selection has them for `.ci/run`.
LEFT_OUT = (
    "benchmarks",
    "browser",
    "example_dags/test_snippets.py",
    "scripts",
    "stores",
    "test_architecture.py",
    "test_docs*.py",
    "test_terms.py",
    "test_workflows.py",
)
SHORT = (
    "example_dags",
    "hooks",
    "modes",
    "operators",
    "triggers",
    "test_ending.py",
    "test_exceptions.py",
    "test_provider_info.py",
)
COPIED = ("benchmarks", "docs", "example_dags", "pyproject.toml", "scripts", "tests")
LOCATION = (
    "import sysconfig, airflow_provider_dreambooth as package;"
    "assert package.__file__.startswith(sysconfig.get_path('purelib')), package.__file__"
)


@dataclass(frozen=True)
class Result:
    """What came of a job; ``error`` if it could not be run to its end."""

    job: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether something was tested and nothing failed."""
        return bool(self.passed) and not self.failed and not self.error


def main() -> int:
    """Run the jobs asked for, print what came of each, and return how many did not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"of {', '.join(job.name for job in JOBS)}")
    parser.add_argument("--short", action="store_true", help="the short selection, on one Python a job")
    parser.add_argument("--parallel", type=int, default=3, help="jobs at a time: the tests often wait")
    options = parser.parse_args()
    if unknown := set(options.jobs) - {job.name for job in JOBS}:
        parser.error(f"no such job: {', '.join(sorted(unknown))}")
    shutil.rmtree(WORK, ignore_errors=True)
    started = time.monotonic()
    jobs = [
        one
        for job in JOBS
        if not options.jobs or job.name in options.jobs
        for one in _by_python(job, _pythons(), short=options.short)
    ]
    jobs.sort(key=lambda job: job.short)  # a long one that began last would run alone
    _build()
    (WORK / "tree").mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():  # bytecode names the files from which it was made: those of the tree
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, WORK / "tree" / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, WORK / "tree" / name)
    with ThreadPoolExecutor(options.parallel) as pool:
        results = list(pool.map(_run, jobs))
    print(f"\n{'job':<14} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}")
    for one in results:
        counts = f"{one.passed:>7} {one.failed:>7} {one.skipped:>8} {one.seconds:>8.0f}"
        print(f"{one.job:<14} {counts} {one.error}")
    print(f"All of it took {(time.monotonic() - started) / 60:.0f} minutes; the logs are in {WORK.name}/")
    return sum(not one.good for one in results)


def _pythons() -> dict[str, str]:
    """Find the interpreters of this machine, by version: on the PATH, and those that pyenv keeps off it."""
    found = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in sorted({python for job in JOBS for python in (*job.pythons, *job.also)}):
        kept = [str(path) for path in pyenv.glob(f"versions/{version}.*/bin/python{version}")]
        for candidate in (shutil.which(f"python{version}"), *kept):
            # What is on the PATH may be a placeholder that only says that it is none.
            if candidate and subprocess.call([candidate, "-c", ""], stderr=subprocess.DEVNULL) == 0:
                found[version] = candidate
                break
    return found


def _by_python(job: Job, pythons: dict[str, str], *, short: bool) -> Iterator[Job]:
    """Make one job a Python that this machine has, and say which it has not."""
    full = next((version for version in job.pythons if version in pythons), None)
    if full is None:
        raise SystemExit(
            f"{job.name} needs Python {' or '.join(job.pythons)}, and this machine has none of them"
        )
    yield replace(job, pythons=(pythons[full],), name=f"{job.name}-py{full}", short=short or job.short)
    for version in () if short else job.also:
        if version not in pythons:
            print(f"Left out: Airflow {job.airflow} on Python {version}, which this machine has not")
        elif version != full:
            name = f"{job.name}-py{version}"
            yield replace(job, pythons=(pythons[version],), name=name, short=True, examples=False)


def _build() -> None:
    WORK.mkdir()
    subprocess.run([UV, "build", "--quiet", "--out-dir", WORK / "dist", ROOT], check=True)


def _run(job: Job) -> Result:
    began = time.monotonic()
    print(f"{job.name}: begins")
    log = WORK / f"{job.name}.log"
    report = WORK / f"{job.name}.xml"
    python = f"{WORK / job.name}/bin/python"
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with log.open("w") as output:
        for command in (*_installs(job, python), [python, "-c", LOCATION], _pytest(job, python, report)):
            print("$", *command, file=output, flush=True)
            done = subprocess.run(
                command, cwd=WORK / "tree", env=env, stdout=output, stderr=output, check=False
            )
            if done.returncode:
                break
    seconds = time.monotonic() - began
    if not report.exists():
        result = Result(job.name, seconds=seconds, error=f"broke off; see {log.relative_to(ROOT)}")
    else:
        suite = ET.parse(report).getroot()[0]  # noqa: S314 - pytest has just written it
        total, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
        failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
        result = Result(job.name, total - failed - skipped, failed, skipped, seconds)
    if not result.good:
        print(f"\n{job.name}: the end of its log\n" + "\n".join(log.read_text().splitlines()[-60:]))
    print(f"{job.name}: {result.passed} passed, {result.failed} failed, {result.seconds:.0f} s")
    return result


def _installs(job: Job, python: str) -> Iterator[list[str]]:
    [built] = (WORK / "dist").glob(f"*.{job.package}")
    package = f"{built}[{','.join(EXTRAS)}]"
    install = [UV, "pip", "install", "--quiet", "--python", python]
    airflow = (f"apache-airflow=={job.airflow}", *job.pins)
    yield [UV, "venv", "--quiet", "--python", job.pythons[0], f"{WORK / job.name}"]
    if job.lowest:
        extras = [option for extra in EXTRAS for option in ("--extra", extra)]
        lowest = ["--resolution", "lowest-direct", "-r", f"{ROOT}/pyproject.toml", *extras]
        yield [*install, *lowest, *job.pins, "--exclude-newer", AS_OF]
        yield [*install, "--no-deps", package]
    else:
        yield [*install, *airflow, "--exclude-newer", job.day]
    tests = ["--group", f"{ROOT}/pyproject.toml:test"]
    yield [*install, *airflow, package, *tests, "--exclude-newer", AS_OF]


def _pytest(job: Job, python: str, report: Path) -> list[str]:
    # anyio's plugin is in every environment, and an old one does not go with a new pytest.
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:anyio"]
    if not job.strict:
        ours = "error:::airflow_provider_dreambooth.*"
        command += ["-W", "default", "-o", f"filterwarnings=\ndefault\n{ours}"]
    return [*command, f"--junitxml={report}", *_selection(job)]


def _selection(job: Job) -> Sequence[str]:
    if job.short:
        return [f"tests/{name}" for name in SHORT if job.examples or name != "example_dags"]
    also = [name for name, wanted in (("example_dags", job.examples), ("system", job.system)) if not wanted]
    return ["tests", *(f"--ignore-glob=tests/{name}" for name in (*LEFT_OUT, *also))]


if __name__ == "__main__":
    sys.exit(bool(main()))
