# SPDX-License-Identifier: Apache-2.0
"""The operators that generate in real DAGs: serialised, rendered, mapped and run by Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_dreambooth.get_provider_info import get_provider_info
from airflow_provider_dreambooth.operators import dreambooth as operators
from airflow_provider_dreambooth.sandbox import Sandbox
from tests.airflow_versions import run_dag, store_dags
from tests.operators.dags.every_parameter import COMMON, OWN

FOLDER = Path(__file__).parent / "dags"
KEY = "canary-KEY-0123456789"


@pytest.fixture(scope="module")
def dags(airflow_db) -> dict[str, Any]:
    """Every DAG of the folder, parsed and stored as the DAG processor does."""
    return store_dags(FOLDER)


@pytest.fixture
def service(monkeypatch):
    with Sandbox(key=KEY, run_time=0.2) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", sandbox.connection_json)
        yield sandbox


def run(dag: Any) -> list[Any]:
    """Run a DAG to its end and return its task instances."""
    instances = run_dag(dag).get_task_instances()
    assert {each.task_id: each.state for each in instances if each.state != "success"} == {}
    return instances


@pytest.mark.parametrize("operator", OWN, ids=lambda operator: operator.kind.name)
def test_each_parameter_is_rendered_and_sent(dags, service, operator):
    parameters = {**COMMON, **OWN[operator]}
    assert set(parameters) == set(operator.kind.checks)  # none is left out

    [instance] = run(dags[f"rendered_{operator.kind.name}"])

    [submit] = service.submits
    sent = {name: v4 for name, (_, v4) in parameters.items()}
    assert submit.body == {**sent, "hologram": "on", "depth": ["3", 4]}
    result = instance.xcom_pull(task_ids="generate")
    assert (result["request_id"], result["status"], len(result["output"])) == (
        submit.request_id,
        "success",
        2,
    )
    # The scheduler's own reading of an XCom makes a number of it; a task reads the text that was pushed.
    assert str(instance.xcom_pull(task_ids="generate", key="request_id")) == submit.request_id
    assert instance.xcom_pull(task_ids="generate", key="picture_url") == result["output"][0]
    assert instance.xcom_pull(task_ids="generate", key="request_url") == (
        f"{service.url}/api/v3/dreambooth/fetch/{submit.request_id}"
    )


def test_each_operator_is_mapped_in_each_way(dags, service):
    instances = run(dags["mapped"])
    assert len(instances) == 2 + 4 + 2 + 2 + 2

    bodies = [(submit.path.rpartition("/")[2], submit.body) for submit in service.submits]
    texts = [body for path, body in bodies if path == "dreambooth"]
    assert {body["prompt"] for body in texts} == {"one", "two", "a fox"}
    crossed = {(body["width"], body["lora_model"]) for body in texts if body["prompt"] == "a fox"}
    assert crossed == {("256", "a,b"), ("256", "c"), ("512", "a,b"), ("512", "c")}
    pictures = [body for path, body in bodies if path == "img2img"]
    own = {(body["prompt"], body.get("strength"), body.get("hologram")) for body in pictures}
    assert own == {("one", "0.2", None), ("two", None, 1)}
    assert len({body["mask_image"] for path, body in bodies if path == "inpaint"}) == 2
    reloads = [record for record in service.journal if record.path.endswith("model_reload")]
    assert len(reloads) == 2
    assert service.accepted() == 10
    # Each mapped task instance is a task of its own to the service.
    assert len({body["track_id"] for _, body in bodies}) == 10


def test_a_stored_dag_keeps_templates_and_buttons(dags, airflow_db):
    from airflow.models.serialized_dag import SerializedDagModel

    for operator in OWN:
        stored = SerializedDagModel.get_dag(f"rendered_{operator.kind.name}")
        task = stored.get_task("generate")
        assert set(task.template_fields) == set(operator.template_fields)
        assert {link.name for link in task.operator_extra_links} == {"First picture", "Request"}
    mapped = SerializedDagModel.get_dag("mapped").get_task("expanded")
    assert {link.name for link in mapped.operator_extra_links} == {"First picture", "Request"}


def test_the_provider_names_each_button():
    named = set(get_provider_info()["extra-links"])
    for operator in OWN:
        for link in operator.operator_extra_links:
            assert f"{type(link).__module__}.{type(link).__qualname__}" in named
    assert len(named) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": -1},
        {"poke_interval": -0.1},
        {"queue_timeout": -1},
        {"reload_seconds": -1},
        {"timeout": "soon"},
        {"queue_timeout": float("nan")},
        *({name: float("inf")} for name in ("timeout", "poke_interval", "queue_timeout", "reload_seconds")),
    ],
    ids=str,
)
def test_a_wrong_number_fails_when_the_dag_is_parsed(wrong):
    """None is found to be wrong only after the submit: infinity is no JSON, so no trigger can carry it."""
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} is .*; give a finite number from 0 on"):
        operators.DreamboothTextToImageOperator(task_id="x", model_id="m", prompt="p", **wrong)


@pytest.mark.parametrize("operator", OWN, ids=lambda operator: operator.kind.name)
def test_what_is_required_is_so_when_the_dag_is_parsed(operator):
    needed = {
        "model_id": "m",
        "prompt": "p",
        "init_image": "https://a.example",
        "mask_image": "https://a.example",
    }
    given = {name: needed[name] for name in operator.kind.required}
    operator(task_id="x", **given)
    refused = (TypeError, AirflowException)  # the latter by Airflow 2.11
    for name in given:
        rest = {other: value for other, value in given.items() if other != name}
        with pytest.raises(refused, match=name):
            operator(task_id="x", **rest)
    with pytest.raises(refused, match="colour"):
        operator(task_id="x", **given, colour="red")
