# SPDX-License-Identifier: Apache-2.0
"""GitHub's workflows and the hooks of pre-commit: pinned, with few rights, and calling what is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.matrix import JOBS as JOBS_OF_THE_MATRIX

ROOT = Path(__file__).parents[1]
FILES = {path.name: path.read_text() for path in sorted((ROOT / ".github" / "workflows").glob("*"))}
WORKFLOWS: dict[str, dict[str, Any]] = {name: yaml.safe_load(text) for name, text in FILES.items()}
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"].values()]
STEPS = [(name, step) for name, job in JOBS for step in job["steps"]]


def test_both_are_here():
    assert sorted(WORKFLOWS) == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("name", FILES)
def test_actions_are_pinned_by_commit_and_say_which_version_that_is(name):
    used = re.findall(r"uses: (.*)", FILES[name])
    assert len(used) == len([step for file, step in STEPS if file == name and "uses" in step])
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_one_action_has_one_pin():
    pins = {step["uses"] for _, step in STEPS if "uses" in step}
    assert len(pins) == len({pin.partition("@")[0] for pin in pins})


def test_rights_are_few():
    assert all(workflow["permissions"] == {"contents": "read"} for workflow in WORKFLOWS.values())
    more = [(name, job) for name, job in JOBS if "permissions" in job]
    [(name, job)] = more
    assert (name, job["permissions"], job["environment"]) == ("release.yml", {"id-token": "write"}, "pypi")
    # What may ask for an identity runs no code of the repository: it only passes on what another job made.
    assert [step["uses"].partition("@")[0] for step in job["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert job["needs"] == "build"


def test_the_token_is_not_left_in_the_checkout_and_no_secret_is_used():
    checkouts = [step for _, step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert not [name for name, text in FILES.items() if "secrets." in text or "pull_request_target" in text]


def test_every_job_ends():
    assert all("timeout-minutes" in job for _, job in JOBS)


def test_what_is_run_is_there():
    makefile = (ROOT / "Makefile").read_text()
    ran = "\n".join(step["run"] for _, step in STEPS if "run" in step)
    assert ran.count(".ci/run") == 2
    for target in re.findall(r"\bmake ([a-z-]+)", ran):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for file in re.findall(r"\.ci/[\w.]+", ran):
        assert (ROOT / file).is_file(), file
    # A name of a branch or a title that somebody else chose must not become a part of a shell command.
    assert not [run for run in ran.splitlines() if re.search(r"\$\{\{\s*github\.", run)]


def test_every_python_that_is_told_of_and_every_airflow_is_tried():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    jobs = WORKFLOWS["ci.yml"]["jobs"]
    assert set(jobs) == {"everything", "versions"}  # and none of it twice
    assert jobs["everything"]["strategy"]["matrix"]["python"] == told
    assert jobs["versions"]["strategy"]["matrix"]["job"] == [job.name for job in JOBS_OF_THE_MATRIX]
    setup = next(step for step in jobs["versions"]["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["with"]["python-version"].split() == told


@pytest.mark.parametrize(
    ("tag", "changelog", "told"),
    [
        ("v0.2.0", "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n", ""),
        ("v0.2.1", "## [0.2.1] - 2026-12-01\n", "The tag is v0.2.1, but __version__ is 0.2.0."),
        ("v0.2.0", "## [Unreleased]\n\n## [0.1.0] - 2026-11-01\n", "CHANGELOG.md has no section"),
    ],
)
def test_a_tag_has_to_be_the_version_and_in_the_changelog(tmp_path, tag, changelog, told):
    (tmp_path / ".ci").mkdir()
    (tmp_path / "airflow_provider_dreambooth").mkdir()
    shutil.copy(ROOT / ".ci" / "check_tag.py", tmp_path / ".ci")
    (tmp_path / "airflow_provider_dreambooth" / "__init__.py").write_text('__version__ = "0.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    run = subprocess.run(
        [sys.executable, ".ci/check_tag.py", tag], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert (run.returncode == 0) is (told == "")
    assert told in run.stderr


def test_hooks_of_pre_commit_use_the_developers_own_tools():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]  # nothing is fetched
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    tools = {re.split(r"[^\w-]", each)[0] for each in groups["dev"] if isinstance(each, str)}
    for hook in config["repos"][0]["hooks"]:
        program = hook["entry"].split()[0]
        assert program.startswith(".venv/bin/")
        assert program.removeprefix(".venv/bin/") in tools
