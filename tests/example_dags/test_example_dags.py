# SPDX-License-Identifier: Apache-2.0
"""The example DAGs parse anywhere, and each does its work against the sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pendulum
import pytest

from tests.airflow_versions import asset_events, returned, run_dag, store_dags
from tests.storage.s3_server import s3_server

FOLDER = Path(__file__).parents[2] / "example_dags"
NAMES = sorted(path.stem for path in FOLDER.glob("example_*.py"))


@pytest.fixture(scope="module")
def dags(airflow_db) -> dict[str, Any]:
    """Every DAG of the folder, parsed as the DAG processor does and stored where ``dag.test()`` looks."""
    return store_dags(FOLDER)


def test_there_is_one_dag_a_file_and_its_name_is_that_of_the_file(dags):
    assert sorted(dags) == NAMES


def test_they_parse_without_connection_variable_or_database(tmp_path):
    code = f"import runpy\nfor name in {NAMES}: runpy.run_path({str(FOLDER)!r} + '/' + name + '.py')"
    env = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "airflow.db").exists()


def run(dag: Any, conf: dict[str, Any], logical_date: Any = None) -> dict[str, Any]:
    """Run a DAG to its end and return each task's XCom."""
    dag_run = run_dag(dag, conf, logical_date)
    instances = dag_run.get_task_instances()
    assert {each.task_id: each.state for each in instances if each.state != "success"} == {}
    return returned(dag_run)


def test_one_id(dags, dreambooth_sandbox):
    request_id = dreambooth_sandbox.add(prompt="a red fox", ready_in=1, samples=2)
    xcoms = run(dags["example_dreambooth_one"], conf={"request_id": request_id})
    assert xcoms["wait_for_pictures"]["request_id"] == request_id
    assert xcoms["use_links"] == 2


def test_a_batch_of_ids_a_day(dags, dreambooth_sandbox, tmp_path):
    request_ids = [dreambooth_sandbox.add(ready_in=each * 0.5) for each in range(3)]
    (tmp_path / "2026-11-22.txt").write_text("\n".join(request_ids))
    xcoms = run(
        dags["example_dreambooth_daily_batch"],
        conf={"folder": tmp_path.as_uri()},
        logical_date=pendulum.datetime(2026, 11, 22, tz="UTC"),
    )
    assert [each["request_id"] for each in xcoms["wait_for_pictures"]] == request_ids
    assert xcoms["collect_links"] == [each["output"][0] for each in xcoms["wait_for_pictures"]]


def test_mapped_ids(dags, dreambooth_sandbox):
    request_ids = [dreambooth_sandbox.add(ready_in=each * 0.5) for each in range(3)]
    xcoms = run(dags["example_dreambooth_mapped"], conf={"request_ids": request_ids})
    assert [dreambooth_sandbox.fetches(each) > 0 for each in request_ids] == [True] * 3
    assert len(xcoms["collect"]) == 3


def test_mapped_ids_of_which_one_fails(dags, dreambooth_sandbox):
    request_ids = [dreambooth_sandbox.add(replies=replies) for replies in ((), ("job_failed",), ())]
    dag_run = run_dag(dags["example_dreambooth_mapped"], {"request_ids": request_ids})
    states = [each.state for each in dag_run.get_task_instances(state=["failed"])]
    assert states == ["failed"]
    assert len(returned(dag_run)["collect"]) == 2


def test_pictures_to_a_bucket(dags, dreambooth_sandbox, tmp_path):
    request_ids = [dreambooth_sandbox.add(ready_in=each * 0.5) for each in range(3)]
    conf = {"request_ids": request_ids, "destination": tmp_path.as_uri()}
    xcoms = run(dags["example_dreambooth_save"], conf=conf)
    [folder] = tmp_path.iterdir()
    assert [uri.removeprefix(f"{folder.as_uri()}/") for uri in xcoms["save_pictures"]] == [
        f"{request_id}-0.png" for request_id in request_ids
    ]
    assert {path.name for path in folder.iterdir()} == {
        *(f"{each}-0.png" for each in request_ids),
        "manifest.json",
        ".manifest",
        "index.html",
    }


def test_a_gallery_of_prompts_each_with_its_own_parameters(dags, dreambooth_sandbox, tmp_path):
    wanted = [{"prompt": "a red fox", "seed": 7}, {"prompt": "two owls", "width": 768, "samples": 2}]
    conf = {"pictures": wanted, "destination": tmp_path.as_uri()}
    xcoms = run(dags["example_dreambooth_gallery"], conf=conf)
    # Mapped tasks run in any order.
    by_prompt = {one.body["prompt"]: one.request_id for one in dreambooth_sandbox.submits}
    ids = [by_prompt[one["prompt"]] for one in wanted]
    assert [one["request_id"] for one in xcoms["wait_for_pictures"]] == ids
    [folder] = tmp_path.iterdir()
    names = [uri.removeprefix(f"{folder.as_uri()}/") for uri in xcoms["save_pictures"]]
    assert names == [f"{ids[0]}-0.png", f"{ids[1]}-0.png", f"{ids[1]}-1.png"]
    entries = json.loads((folder / "manifest.json").read_text())["pictures"]
    assert [(one["prompt"], one["width"]) for one in entries] == [
        ("a red fox", 512),
        ("two owls", 768),
        ("two owls", 768),
    ]
    assert entries[0]["seed"] == 7
    assert "two owls" in (folder / "index.html").read_text()
    assert dreambooth_sandbox.accepted() == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # botocore's dates
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # s3fs leaves sockets behind
def test_pictures_to_s3(dags, dreambooth_sandbox):
    from airflow.utils.session import create_session

    meta = {"model_id": "midjourney", "seed": 7, "prompt": "a red fox"}
    ids = [dreambooth_sandbox.add(prompt="a red fox", ready_in=each * 0.5) for each in range(2)]
    requests = [{"request_id": ids[0], "meta": meta}, ids[1]]
    with s3_server("aws_default", "my-bucket") as s3:
        xcoms = run(
            dags["example_dreambooth_s3"],
            conf={"request_ids": requests, "folder": "s3://my-bucket/cards"},
            logical_date=pendulum.datetime(2026, 11, 25, tz="UTC"),
        )
        found = [each["Key"] for each in s3.list_objects_v2(Bucket="my-bucket")["Contents"]]
        page = s3.get_object(Bucket="my-bucket", Key="cards/index.html")
        assert page["ContentType"] == "text/html; charset=utf-8"
        assert "a red fox" in page["Body"].read().decode()
    names = [
        f"cards/2026-11-25/midjourney/{ids[0]}-0.png",
        f"cards/2026-11-25/unknown-model/{ids[1]}-0.png",
    ]
    assert xcoms["save_pictures"] == [f"s3://my-bucket/{name}" for name in names]
    parts = [name for name in found if name.startswith("cards/.manifest/")]
    assert sorted(found) == sorted([*names, *parts, "cards/index.html", "cards/manifest.json"])
    with create_session() as session:
        events = dict(asset_events(session))
    assert set(events) == set(xcoms["save_pictures"])
    assert events[f"s3://my-bucket/{names[0]}"]["seed"] == 7


def test_a_picture_restyled(dags, dreambooth_sandbox, tmp_path):
    conf = {"picture": "https://example.com/castle.png", "destination": tmp_path.as_uri()}
    xcoms = run(dags["example_dreambooth_restyle"], conf=conf)
    [submit] = dreambooth_sandbox.submits
    assert submit.path == "/api/v4/dreambooth/img2img"
    assert (submit.body["lora_model"], submit.body["lora_strength"]) == ("watercolour,soft-light", "0.7,0.4")
    assert xcoms["restyle"]["request_id"] == submit.request_id
    assert [path.name for path in tmp_path.glob("*.png")] == [f"{submit.request_id}-0.png"]
    task = dags["example_dreambooth_restyle"].get_task("restyle")
    assert bool(getattr(task, "retry_policy", None)) == bool(task.retries)


def test_prompts_to_pictures(dags, dreambooth_sandbox, tmp_path):
    prompts = ["a red fox", "a heron at dawn", "a hare"]
    conf = {"prompts": prompts, "destination": tmp_path.as_uri()}
    xcoms = run(dags["example_dreambooth_generate"], conf=conf)
    assert dreambooth_sandbox.accepted() == 3
    ids = {each.body["prompt"]: each.request_id for each in dreambooth_sandbox.submits}
    assert [each["request_id"] for each in xcoms["wait_for_pictures"]] == [ids[each] for each in prompts]
    assert [Path(uri).name for uri in xcoms["save_pictures"]] == [f"{ids[each]}-0.png" for each in prompts]
    page = (tmp_path / "index.html").read_text()
    assert [each for each in prompts if each not in page] == []
