# SPDX-License-Identifier: Apache-2.0
"""Who asks where pictures came from and went is told: assets, aliases, OpenLineage, hook lineage."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_dreambooth.lineage import (
    MOST_ASSETS,
    MOST_IN_EXTRA,
    add_asset_events,
    collect,
    dataset_of,
    openlineage,
)
from airflow_provider_dreambooth.storage import SavedPicture
from airflow_provider_dreambooth.storage.records import utc_now
from tests.airflow_versions import hook_lineage

ROOT = Path(__file__).parents[2]
SECRET = "X-Signature=abc"


def saved(number: int = 0, **more) -> SavedPicture:
    known = {
        "source_url": f"https://cdn.example.com/generations/{number}.png",
        "uri": f"s3://bucket/folder/{number}.png",
        "bytes": 7,
        "sha256": f"{number:064x}",
        "content_type": "image/png",
        "width": 48,
        "height": 32,
        "saved_at": utc_now(),
    }
    return SavedPicture(str(number), 0, **known | more)


@pytest.mark.parametrize(
    ("uri", "dataset"),
    [
        ("s3://bucket/folder/a b.png", ("s3://bucket", "folder/a b.png")),
        ("gs://bucket/a.png", ("gs://bucket", "a.png")),
        ("abfs://container/a/b.png", ("abfs://container", "a/b.png")),
        ("file:///data/a.png", ("file", "/data/a.png")),
        ("https://cdn.example.com:8443/a/b.png", ("https://cdn.example.com:8443", "/a/b.png")),
    ],
)
def test_names_of_datasets(uri, dataset):
    assert dataset_of(uri) == dataset


def test_openlineage_is_told_links_and_objects():
    told = openlineage([saved(1), saved(2, source_url="data:image/png;base64,…")])
    assert [(one.namespace, one.name) for one in told.inputs] == [
        ("https://cdn.example.com", "/generations/1.png")
    ]
    assert [(one.namespace, one.name) for one in told.outputs] == [
        ("s3://bucket", "folder/1.png"),
        ("s3://bucket", "folder/2.png"),
    ]
    assert told.outputs[0].facets["version"].datasetVersion == f"{1:064x}"
    assert told.outputs[0].outputFacets["outputStatistics"].size == 7
    assert len(openlineage([saved(n) for n in range(500)]).outputs) == MOST_IN_EXTRA


# A DAG run for real: dag.test() runs its tasks in this process, with the listener of OpenLineage where it is
# switched on. It prints what Airflow has kept.
RUN = """
import json, os, sys
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, task
from airflow_provider_dreambooth.operators.dreambooth import DreamboothSaveImagesOperator
from airflow_provider_dreambooth.sandbox import Sandbox

if "without" in sys.argv:
    for name in ("airflow.providers.openlineage.extractors", "openlineage"):
        sys.modules[name] = None
from airflow.utils.db import initdb
initdb()
from pathlib import Path
from airflow.utils.session import create_session
from tests.airflow_versions import asset_events, run_dag, store_dags

with Sandbox(key="sandbox-key") as sandbox:
    os.environ["AIRFLOW_CONN_DREAMBOOTH_DEFAULT"] = sandbox.connection_json
    folder = os.environ["FOLDER"]
    ids = [sandbox.add(prompt="x") for _ in range(3)]
    with DAG("lineage", schedule=None) as dag:
        links = DreamboothSaveImagesOperator(task_id="links", request_id=ids, poke_interval=0.2)

        @task
        def sign(links):
            meta = {"model_id": "m", "seed": 5}
            return [
                {"request_id": one, "status": "success", "output": [f"{link}?X-Signature=abc"], "meta": meta}
                for one, link in zip(ids, links)
            ]

        DreamboothSaveImagesOperator(
            task_id="save",
            results=sign(links.output),
            destination=f"file://{folder}",
            name="ä {request_id}-{index}",
            outlets=[Asset("s3://bucket/folder"), AssetAlias("one by one")],
        )
    dags = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    run = run_dag(store_dags(dags, dag)["lineage"])
    assert str(run.state).endswith("success"), run.state

with create_session() as session:
    events = asset_events(session)
print("RESULT", json.dumps({"ids": ids, "events": events}))
"""


@pytest.fixture
def run(tmp_path):
    dags = tmp_path / "dags"
    dags.mkdir()

    def go(*arguments, **environment):
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
            "FOLDER": str(tmp_path / "pictures"),
            **environment,
        }
        script = tmp_path / "run.py"
        script.write_text(RUN)
        command = [sys.executable, "-W", "ignore", str(script), *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=110)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
        return json.loads(line.removeprefix("RESULT ")), done.stdout + done.stderr

    return go


def check_assets(found, folder):
    events = dict(found["events"])
    listed = events.pop("s3://bucket/folder")
    assert listed["count"] == 3
    assert [picture["request_id"] for picture in listed["pictures"]] == found["ids"]
    assert sorted(events) == [
        f"file://{folder}/%C3%A4 {request_id}-0.png" for request_id in sorted(found["ids"])
    ]
    for picture in listed["pictures"]:
        alone = events[picture.pop("uri").replace("ä", "%C3%A4")]
        assert picture == {key: alone[key] for key in picture}
        assert SECRET not in str(alone)
        assert set(picture) == {"request_id", "index", "sha256", "bytes", "content_type", "model", "seed"}


def test_assets_and_aliases_get_what_was_saved_where_openlineage_is_not_installed(run, tmp_path):
    found, _ = run("without")
    check_assets(found, tmp_path / "pictures")


def test_openlineage_hears_of_a_real_run(run, tmp_path):
    log = tmp_path / "openlineage.jsonl"
    transport = json.dumps({"type": "file", "log_file_path": str(log), "append": True})
    found, _ = run(AIRFLOW__OPENLINEAGE__TRANSPORT=transport, AIRFLOW__OPENLINEAGE__NAMESPACE="tests")
    check_assets(found, tmp_path / "pictures")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    [ended] = [
        one for one in events if one["eventType"] == "COMPLETE" and one["job"]["name"] == "lineage.save"
    ]
    folder = tmp_path / "pictures"
    assert [(one["namespace"], one["name"]) for one in ended["outputs"]] == [
        ("file", f"{folder}/ä {request_id}-0.png") for request_id in found["ids"]
    ]
    assert len(ended["inputs"]) == 3
    assert SECRET not in str((ended["inputs"], ended["outputs"]))
    assert all(one["namespace"].startswith("http://127.0.0.1:") for one in ended["inputs"])
    manifest = json.loads((folder / "manifest.json").read_text())["pictures"]
    assert [one["facets"]["version"]["datasetVersion"] for one in ended["outputs"]] == [
        picture["sha256"] for picture in manifest
    ]


def test_the_collector_of_hook_lineage_hears_of_links_and_objects(monkeypatch):
    collector = hook_lineage(monkeypatch)
    collect(object(), [saved(1), saved(2, uri="s3://bucket/folder/ä.png")])
    lineage = collector.collected_assets
    assert [one.asset.uri for one in lineage.inputs] == [
        "https://cdn.example.com/generations/1.png",
        "https://cdn.example.com/generations/2.png",
    ]
    assert [one.asset.uri for one in lineage.outputs] == [
        "s3://bucket/folder/1.png",
        "s3://bucket/folder/%C3%A4.png",  # as Airflow 2 takes no other
    ]


def test_an_alias_gets_no_more_assets_than_a_database_should(caplog):
    from airflow.providers.common.compat.sdk import AssetAlias

    added = []

    class Events:
        def __getitem__(self, outlet):
            return self

        def add(self, asset, extra):
            added.append((asset.uri, extra))

    pictures = [saved(n) for n in range(MOST_ASSETS + 1)]
    add_asset_events(
        {"outlet_events": Events()}, [AssetAlias("a"), "x"], pictures, logging.getLogger("tests")
    )
    assert len(added) == MOST_ASSETS
    assert "The first 1000 of 1001 pictures" in caplog.text


def test_a_link_or_name_too_long_for_an_asset_fails_no_task(monkeypatch, caplog):
    from airflow.providers.common.compat.sdk import AssetAlias

    collector = hook_lineage(monkeypatch)
    long = saved(1, source_url="https://cdn.example.com/" + "a" * 2000, uri="s3://bucket/" + "ä" * 400)
    collect(object(), [long, saved(2)])
    assert [one.asset.uri for one in collector.collected_assets.inputs] == [
        "https://cdn.example.com/generations/2.png"
    ]
    assert [one.asset.uri for one in collector.collected_assets.outputs] == ["s3://bucket/folder/2.png"]

    added = []

    class Events:
        def __getitem__(self, outlet):
            return self

        def add(self, asset, extra):
            added.append(asset.uri)

    context = {"outlet_events": Events()}
    add_asset_events(context, [AssetAlias("a")], [long, saved(2)], logging.getLogger("tests"))
    assert added == ["s3://bucket/folder/2.png"]
    assert "too long for an asset" in caplog.text
