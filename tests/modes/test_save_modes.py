# SPDX-License-Identifier: Apache-2.0
"""The save operator from ids or results to links or files, waiting on the worker or in the triggerer."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from PIL import Image

from airflow_provider_dreambooth import exceptions
from airflow_provider_dreambooth.exceptions import DreamboothInputError
from airflow_provider_dreambooth.operators.dreambooth import DreamboothSaveImagesOperator
from airflow_provider_dreambooth.sandbox import Sandbox
from tests.airflow_versions import AIRFLOW
from tests.modes.task_runner import run_task

MODES = {"worker": False, "deferrable": True}


@pytest.fixture
def service(monkeypatch):
    with Sandbox(key="sandbox-key") as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", sandbox.connection_json)
        yield sandbox


def save(mode: str = "worker", **options: Any) -> Any:
    settings = {"poke_interval": 0.1, "timeout": 30, "link_patience": 5, "deferrable": MODES[mode], **options}
    return lambda: DreamboothSaveImagesOperator(task_id="save", **settings)


def block(folder: Path) -> None:
    """Put a file where the destination was."""
    folder.rmdir()
    folder.write_text("in the way")


@pytest.mark.parametrize("mode", MODES)
def test_ids_become_checked_pictures_and_a_manifest(service: Sandbox, tmp_path: Path, mode: str):
    late = service.add(prompt="late", replies=["processing", "processing"], samples=2, width=320, height=256)
    ready = service.add(prompt="ready", format="jpeg")

    ended = run_task(save(mode, request_id=[late, ready], destination=f"file://{tmp_path}/out"))

    assert ended.error is None
    names = [f"{late}-0.png", f"{late}-1.png", f"{ready}-0.jpg"]
    assert ended.result == [f"file://{tmp_path}/out/{name}" for name in names]
    assert ended.deferred == (1 if mode == "deferrable" else 0)
    beside = [".manifest", "manifest.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*names, *beside])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())["pictures"]
    assert manifest == ended.xcoms["manifest"]
    for entry in manifest:
        path = Path(entry["uri"].removeprefix("file://"))
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
        with Image.open(path) as picture:
            assert picture.size == (entry["width"], entry["height"])


@pytest.mark.parametrize("mode", MODES)
def test_without_a_destination_the_links_are_the_result(service: Sandbox, mode: str):
    request_id = service.add(prompt="x", ready_in=0.3, samples=2)

    ended = run_task(save(mode, request_id=request_id))

    assert ended.error is None
    assert len(ended.result) == 2
    assert all(link.startswith(service.url) for link in ended.result)
    assert [(one["request_id"], one["index"]) for one in ended.xcoms["manifest"]] == [
        (request_id, 0),
        (request_id, 1),
    ]


def test_what_the_sensor_returned_is_saved_without_asking_again(service: Sandbox, tmp_path: Path):
    request_id = service.add(prompt="x")
    link = next(iter(run_task(save(request_id=request_id)).result))
    asked = service.fetches(request_id)
    result = {"request_id": request_id, "status": "success", "output": [link]}

    for results in (result, [result], [result, result]):
        ended = run_task(save(results=results, destination=f"file://{tmp_path}"))
        assert ended.result == [f"file://{tmp_path}/{request_id}-0.png"]
    assert service.fetches(request_id) == asked


def test_a_second_run_downloads_nothing_again(service: Sandbox, tmp_path: Path):
    ids = [service.add(prompt=str(n)) for n in range(3)]
    first = run_task(save(request_id=ids, destination=f"file://{tmp_path}"))
    downloads = sum(record.path.startswith("/pictures") for record in service.journal)
    second = run_task(save(request_id=ids, destination=f"file://{tmp_path}"))

    assert second.result == first.result
    for before, after in zip(first.xcoms["manifest"], second.xcoms["manifest"], strict=True):
        assert after | {"saved_at": None} == before | {"saved_at": None}
    assert sum(record.path.startswith("/pictures") for record in service.journal) == downloads == 3


@pytest.mark.parametrize("mode", MODES)
def test_one_bad_picture_and_one_failed_job_lose_none_of_the_others(
    service: Sandbox, tmp_path: Path, mode: str
):
    good = service.add(prompt="good", ready_in=0.3)
    gone = service.add(prompt="gone", picture_faults=("gone",))
    failed = service.add(prompt="failed", replies=("job_failed",))

    ended = run_task(
        save(mode, request_id=[good, gone, failed], destination=f"file://{tmp_path}", link_patience=0.5)
    )

    assert type(ended.error) is exceptions.DreamboothSaveError
    said = str(ended.error)
    assert f"request {failed}: job failed: Failed, Try Again" in said
    assert f"picture 0 of request {gone}" in said
    assert "404" in said
    assert [one["request_id"] for one in ended.xcoms["manifest"]] == [good]
    assert [one["request_id"] for one in ended.xcoms["ready"]] == [good, gone]
    assert [one["request_id"] for one in ended.xcoms["failed"]] == [failed]
    assert [one["request_id"] for one in ended.xcoms["unsaved"]] == [gone]
    assert (tmp_path / f"{good}-0.png").exists()


def test_what_can_never_be_saved_is_not_retried(service: Sandbox, tmp_path: Path):
    wrong = service.add(prompt="x", picture_faults=("html_as_picture",))
    huge = service.add(prompt="x", picture_faults=("huge:300000000",))

    ended = run_task(save(request_id=huge, destination=f"file://{tmp_path}", max_bytes=1_000_000))
    assert type(ended.error) is exceptions.DreamboothPictureRefused
    assert isinstance(ended.error, AirflowFailException)
    assert "1,000,000" in str(ended.error)

    ended = run_task(save(request_id=wrong, destination=f"file://{tmp_path}", link_patience=0))
    assert "no picture" in str(ended.error)
    assert list(tmp_path.iterdir()) == []


def test_times_may_be_timedeltas_and_execution_timeout_counts_while_deferred(service: Sandbox):
    never = service.add(prompt="x", ready_in=3600)
    for times in (
        {"timeout": timedelta(seconds=0.3), "poke_interval": timedelta(seconds=0.1)},
        {"execution_timeout": timedelta(seconds=0.3)},
    ):
        assert (
            type(run_task(save("deferrable", request_id=never, **times)).error)
            is exceptions.DreamboothTimeout
        )


@pytest.mark.parametrize("destination", [None, "file"])
@pytest.mark.parametrize(
    "link",
    [
        "http://169.254.169.254/latest/meta-data/iam",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
    ],
)
def test_hostile_links_are_refused_even_where_private_ones_are_not(
    service: Sandbox, tmp_path: Path, link: str, destination: str | None
):
    request_id = service.add(prompt="x", output=[link])
    ended = run_task(save(request_id=request_id, destination=destination and f"file://{tmp_path}"))

    assert type(ended.error) is exceptions.DreamboothPictureRefused
    assert request_id in str(ended.error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "output", [["file:///etc/passwd"], ["ftp://x/y.png"], ["javascript:alert(1)"], ["https://"]]
)
def test_outputs_that_are_no_links_fail_the_request(service: Sandbox, tmp_path: Path, output: list[str]):
    request_id = service.add(prompt="x", output=output)
    ended = run_task(save(request_id=request_id, destination=f"file://{tmp_path}"))
    assert type(ended.error) is exceptions.DreamboothJobFailed
    assert "no http(s) links" in str(ended.error)


def test_a_million_outputs_are_refused(service: Sandbox):
    request_id = service.add(prompt="x", output=["https://e.example/x.png"] * 1_000_000)
    ended = run_task(save(request_id=request_id, timeout=0))
    assert isinstance(ended.error, (exceptions.DreamboothTimeout, exceptions.DreamboothUnavailable))
    assert "longer than" in str(ended.error)

    request_id = service.add(prompt="x", output=["https://e.example/x.png"] * 1000)
    ended = run_task(save(request_id=request_id))
    assert type(ended.error) is exceptions.DreamboothJobFailed
    assert "1000 links" in str(ended.error)


def test_private_links_are_refused_where_the_service_is_public(service: Sandbox, monkeypatch, tmp_path: Path):
    request_id = service.add(prompt="x")
    link = next(iter(run_task(save(request_id=request_id)).result))
    public = {"conn_type": "dreambooth", "password": "sandbox-key", "host": "https://modelslab.example"}
    monkeypatch.setenv("AIRFLOW_CONN_PUBLIC", json.dumps(public))
    results = {"request_id": request_id, "status": "success", "output": [link]}
    options = {"results": results, "dreambooth_conn_id": "public", "destination": f"file://{tmp_path}"}

    refused = run_task(save(**options))
    allowed = run_task(save(**options, allow_private_links=True))

    assert type(refused.error) is exceptions.DreamboothPictureRefused
    assert "allow_private_links" in str(refused.error)
    assert allowed.result == [f"file://{tmp_path}/{request_id}-0.png"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "either request_id or results"),
        ({"request_id": "1", "results": {"request_id": 1}}, "either request_id or results"),
        ({"results": {"request_id": "1", "status": "processing"}}, "without pictures (1)"),
        ({"request_id": "1", "destination": "out/pictures"}, "give a folder URL"),
        ({"request_id": "1", "destination": "None"}, "give a folder URL"),
        ({"request_id": "1", "destination": "file://data/pictures"}, "give a folder URL"),
        ({"request_id": "1", "destination": "s3://"}, "give a folder URL"),
        ({"request_id": "1", "destination": 5}, "give a folder URL"),
        ({"results": []}, "results is an empty list"),
        ({"request_id": "1", "destination": "abfs://box@account.dfs.core.windows.net/x"}, "abfs://container"),
        ({"request_id": "1", "destination": "file:///tmp/x", "name": "../{index}"}, "'../{index}'"),
        ({"request_id": "1", "destination": "file:///tmp/x", "name": "{prompt}"}, "{prompt}"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(service: Sandbox, options: dict[str, Any], says: str):
    ended = run_task(save(**options))

    assert type(ended.error) is exceptions.DreamboothInputError
    assert says in str(ended.error)
    assert service.journal == []


def test_an_unknown_store_is_told_before_anything_is_sent(service: Sandbox):
    ended = run_task(save(request_id="1", destination="nowhere://bucket/x"))

    # Up to Airflow 3.1 the library of paths tells it only when the store is opened.
    assert type(ended.error) in (exceptions.DreamboothInputError, exceptions.DreamboothSaveError)
    assert "nowhere" in str(ended.error)
    assert service.journal == []


@pytest.mark.skipif(AIRFLOW >= (3, 2), reason="from Airflow 3.2 on an ARN can be used")
def test_an_arn_that_cannot_be_used_is_told_before_anything_is_sent(service: Sandbox):
    ended = run_task(save(request_id="1", destination="s3://arn:aws:s3:eu-west-1:1:accesspoint/mine/x"))

    assert type(ended.error) is exceptions.DreamboothInputError
    assert "by its alias, not by its ARN" in str(ended.error)
    assert service.journal == []


def test_a_failed_job_is_not_hidden_by_a_bucket_that_cannot_be_used(service: Sandbox, tmp_path: Path):
    request_id = service.add(prompt="x", replies=("processing*5", "job_failed"))
    timer = threading.Timer(0.3, block, [tmp_path / "out"])
    timer.start()
    ended = run_task(save(request_id=request_id, destination=f"file://{tmp_path}/out"))
    timer.join()
    assert type(ended.error) is exceptions.DreamboothJobFailed


def test_names_that_turn_out_to_collide_keep_the_links(service: Sandbox, tmp_path: Path):
    request_id = service.add(prompt="x", samples=2)
    ended = run_task(save(request_id=request_id, destination=f"file://{tmp_path}", name="{request_id}"))

    assert type(ended.error) is exceptions.DreamboothInputError
    assert "two pictures" in str(ended.error)
    assert len(ended.xcoms["ready"][0]["output"]) == 2


def test_a_worker_without_a_temporary_folder_keeps_the_links(
    service: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    links = {"request_id": "5", "status": "success", "output": [f"{service.url}/5.png"]}
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    ended = run_task(save(results=links, destination=f"file://{tmp_path}/out"))

    assert type(ended.error) is FileNotFoundError
    assert [one["request_id"] for one in ended.xcoms["ready"]] == ["5"]


def test_a_connection_gone_after_the_wait_keeps_the_links(service: Sandbox, tmp_path: Path):
    result = run_task(save(request_id=service.add(prompt="x"))).xcoms
    links = {"request_id": "5", "status": "success", "output": [f"{service.url}/5.png"]}
    ended = run_task(save(results=links, destination=f"file://{tmp_path}", dreambooth_conn_id="gone"))

    assert result["manifest"]
    assert type(ended.error) is exceptions.DreamboothConnectionError
    assert [one["request_id"] for one in ended.xcoms["ready"]] == ["5"]


def test_a_destination_that_cannot_be_used_is_told_before_anything_is_sent(service: Sandbox, tmp_path: Path):
    (tmp_path / "a file").write_text("in the way")

    ended = run_task(save(request_id="1", destination=f"file://{tmp_path}/a file/out"))

    assert type(ended.error) is exceptions.DreamboothSaveError
    assert "a file" in str(ended.error)
    assert service.journal == []


@pytest.mark.parametrize("mode", MODES)
def test_a_destination_lost_during_the_wait_keeps_the_links(service: Sandbox, tmp_path: Path, mode: str):
    request_id = service.add(prompt="x", ready_in=1)
    timer = threading.Timer(0.5, block, [tmp_path / "out"])
    timer.start()
    ended = run_task(save(mode, request_id=request_id, destination=f"file://{tmp_path}/out"))
    timer.join()

    assert type(ended.error) is exceptions.DreamboothSaveError
    assert [one["request_id"] for one in ended.xcoms["ready"]] == [request_id]


def test_a_full_disk_names_each_picture_that_it_cost(service: Sandbox, tmp_path: Path):
    """The manifest finds no room either; its error must not hide the pictures'."""
    good, other = service.add(prompt="fits"), service.add(prompt="does not", picture_faults=("gone",))
    (tmp_path / "manifest.json").mkdir()  # stands for a manifest that cannot be written
    ended = run_task(save(request_id=[good, other], destination=f"file://{tmp_path}", link_patience=0))

    assert type(ended.error) is exceptions.DreamboothSaveError
    assert f"picture 0 of request {other}" in str(ended.error)
    assert "manifest.json" in str(ended.error)
    assert [one["request_id"] for one in ended.xcoms["unsaved"]] == [other]
    assert [one["request_id"] for one in ended.xcoms["manifest"]] == [good]


@pytest.mark.parametrize(
    ("parameter", "value"), [("timeout", None), ("timeout", -5), ("max_bytes", "64MB"), ("max_parallel", 0)]
)
def test_wrong_parameters_are_told_when_the_dag_is_parsed(parameter: str, value: Any):
    with pytest.raises(ValueError, match=parameter):
        save(request_id="1", **{parameter: value})()


@pytest.mark.parametrize("option", [{"contact_sheet": True}, {"verify": "decode"}])
def test_what_needs_a_destination_says_so(service: Sandbox, option: dict[str, Any]):
    ended = run_task(save(request_id="1", **option))
    assert isinstance(ended.error, DreamboothInputError)
    assert "needs a destination" in str(ended.error)
    assert service.journal == []
