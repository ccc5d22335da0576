# SPDX-License-Identifier: Apache-2.0
"""The DAGs that the documentation quotes do what their pages say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.local_server import free_port
from tests.airflow_versions import returned, run_dag, store_dags
from tests.test_docs import PAGES, blocks

SNIPPETS = Path(__file__).parents[2] / "docs" / "snippets"


@pytest.fixture(scope="module")
def snippets(airflow_db) -> dict[str, Any]:
    return store_dags(SNIPPETS)


def run(dag: Any, **conf: Any) -> tuple[str, dict[str, Any]]:
    dag_run = run_dag(dag, conf)
    return dag_run.state, returned(dag_run)


def test_the_dag_of_the_readme(snippets, dreambooth_sandbox, tmp_path):
    state, _ = run(snippets["generate_pictures"], prompt="two owls", folder=tmp_path.as_uri())
    assert state == "success"
    [submit] = dreambooth_sandbox.submits
    assert submit.body["prompt"] == "two owls"
    assert [path.name for path in tmp_path.glob("*.png")] == [f"{submit.request_id}-0.png"]


def test_the_dag_of_the_quickstart(snippets, dreambooth_sandbox, tmp_path):
    ids = [dreambooth_sandbox.add(ready_in=each * 0.5) for each in range(2)]
    state, xcoms = run(snippets["keep_pictures"], request_ids=ids, folder=tmp_path.as_uri())
    assert state == "success"
    assert [Path(uri).name for uri in xcoms["keep"]] == [f"{each}-0.png" for each in ids]


def test_go_on_with_the_ready(snippets, dreambooth_sandbox):
    ids = [dreambooth_sandbox.add(replies=replies) for replies in ((), ("job_failed",))]
    _, xcoms = run(snippets["go_on_with_the_ready"], request_ids=ids)
    assert len(xcoms["links_that_came"]) == 1


def test_ask_in_python(snippets, dreambooth_sandbox):
    state, xcoms = run(snippets["ask_in_python"], request_id=dreambooth_sandbox.add(samples=2))
    assert (state, len(xcoms["wait_here"])) == ("success", 2)


def test_generate_in_python(snippets, dreambooth_sandbox):
    state, xcoms = run(snippets["generate_in_python"])
    assert (state, len(xcoms["generate"])) == ("success", 1)
    assert dreambooth_sandbox.accepted() == 1


def test_prompts_with_parameters_of_their_own(snippets, dreambooth_sandbox):
    state, _ = run(snippets["generate_mapped"])
    assert state == "success"
    bodies = {each.body["prompt"]: each.body for each in dreambooth_sandbox.submits}
    assert (bodies["a red fox"]["seed"], bodies["a heron"]["width"]) == ("7", "768")


def in_a_shell(script: str, folder: Path) -> str:
    """Run lines of a page in a folder, without what these tests have set up; return what they print."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTEST_"))}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    command = ["bash", "-ec", script]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_project_is_tested_as_the_guide_on_the_sandbox_says(tmp_path):
    shutil.copytree(SNIPPETS.parent / "testing", tmp_path, dirs_exist_ok=True)
    [script] = [block for block in blocks(PAGES["docs/guides/sandbox.md"], "bash") if "pytest" in block]
    assert "3 passed" in in_a_shell(script, tmp_path)


def test_the_quickstart_in_an_airflow_of_ones_own(tmp_path):
    page = PAGES["docs/quickstart.md"].replace("/tmp/pictures", str(tmp_path / "pictures"))
    page = page.replace("8765", port := str(free_port()))
    [dag] = blocks(page, "python")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "keep_pictures.py").write_text(dag)
    [sandbox] = [block for block in blocks(page, "bash") if "--any-id" in block]
    [script] = [block for block in blocks(page, "bash") if "airflow dags test" in block]
    script = f"""
        export AIRFLOW_HOME=$PWD AIRFLOW__CORE__LOAD_EXAMPLES=False
        {sandbox.strip()} &
        trap "kill $!" EXIT
        airflow db migrate
        until : 2>/dev/null </dev/tcp/127.0.0.1/{port}; do kill -0 $!; sleep 0.1; done
        {script}"""
    in_a_shell(script, tmp_path)
    names = {path.name for path in (tmp_path / "pictures").iterdir()} - {".manifest"}
    assert names == {"101-0.png", "102-0.png", "manifest.json"}
    for name in names:
        assert f"`{name}`" in page
