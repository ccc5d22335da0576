# SPDX-License-Identifier: Apache-2.0
"""The DAGs that the documentation quotes do what their pages say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.airflow_versions import returned, run_dag, store_dags

SNIPPETS = Path(__file__).parents[2] / "docs" / "snippets"


@pytest.fixture(scope="module")
def snippets(airflow_db) -> dict[str, Any]:
    return store_dags(SNIPPETS)


def run(dag: Any, **conf: Any) -> tuple[str, dict[str, Any]]:
    dag_run = run_dag(dag, conf)
    return dag_run.state, returned(dag_run)


def test_the_dag_of_the_readme(snippets, dreambooth_sandbox, tmp_path):
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
