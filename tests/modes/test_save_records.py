# SPDX-License-Identifier: Apache-2.0
"""What the save operator writes down of its pictures, in manifest, page and log; and what it does not."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_dreambooth import exceptions
from airflow_provider_dreambooth.operators.dreambooth import DreamboothSaveImagesOperator
from airflow_provider_dreambooth.sandbox import Sandbox
from tests.modes.task_runner import TaskInstance, run_task
from tests.storage.s3_server import connection, s3_server

SCHEMA = json.loads(files("airflow_provider_dreambooth.storage").joinpath("manifest.schema.json").read_text())
SIGNATURE = "X-Amz-Signature=d15ea5e"
PROMPT = "a fox nobody may know of"


@pytest.fixture
def service(monkeypatch):
    with Sandbox(key="sandbox-key") as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", sandbox.connection_json)
        yield sandbox


def operator(**options: Any) -> DreamboothSaveImagesOperator:
    settings = {"poke_interval": 0.1, "timeout": 30, "link_patience": 0, **options}
    return DreamboothSaveImagesOperator(task_id="save", **settings)


def save(**options: Any) -> Any:
    return run_task(lambda: operator(**options))


def submitted(service: Sandbox, **order: Any) -> dict[str, Any]:
    """What a task that submits would return of a request."""
    request_id = service.add(prompt=PROMPT, **order)
    meta = {"model_id": "midjourney", "seed": 7, "prompt": PROMPT, "H": 512}
    return {"request_id": request_id, "eta": 0, "meta": meta}


def signed(service: Sandbox, request: dict[str, Any], **order: Any) -> dict[str, Any]:
    """The result of a request whose links are signed."""
    links = save(request_id=request).result
    return {
        "request_id": request["request_id"],
        "status": "success",
        "output": [f"{link}?{SIGNATURE}" for link in links],
        "meta": request["meta"],
        **order,
    }


def document(folder: Path) -> dict[str, Any]:
    read = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    jsonschema.validate(read, SCHEMA)
    return read


def test_a_manifest_of_life_fits_its_schema_and_tells_what_is_known(service, tmp_path, task_log):
    known = signed(service, submitted(service, samples=2), nsfw_content_detected=[False, True])
    plain = service.add(prompt="x", format="jpeg")
    plain_result = {"request_id": plain, "status": "success", "output": save(request_id=plain).result}
    ended = save(
        results=[known, plain_result],
        destination=f"file://{tmp_path}",
        include_prompt=True,
        contact_sheet=True,
        verify="decode",
    )
    assert ended.error is None
    entries = document(tmp_path)["pictures"]
    assert entries == ended.xcoms["manifest"]
    first, second, third = entries
    for entry in (first, second):
        assert (entry["model"], entry["seed"], entry["prompt"]) == ("midjourney", 7, PROMPT)
        assert entry["source_url"].startswith(service.url)
    assert (first["nsfw_content_detected"], second["nsfw_content_detected"]) == (False, True)
    assert third["content_type"] == "image/jpeg"
    assert not {"model", "seed", "prompt", "nsfw_content_detected"} & set(third)
    [told] = [line for line in task_log().splitlines() if "is saved, but" in line]
    assert "Picture 1 of request" in told
    assert "the service flagged it as unsafe" in told
    assert PROMPT in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_the_signature_of_a_link_and_an_unwanted_prompt_are_written_nowhere(service, tmp_path, task_log):
    results = signed(service, submitted(service))
    ended = save(results=results, destination=f"file://{tmp_path}", contact_sheet=True)
    assert ended.error is None
    written = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 4  # picture, manifest, part, page
    for text in (*written, json.dumps(ended.xcoms), json.dumps(ended.result), task_log()):
        assert text
        assert SIGNATURE not in text
        assert PROMPT not in text


def test_what_the_service_holds_back_is_flagged_once_it_is_known(service, tmp_path, task_log):
    [one, other] = [service.add(prompt="blocked", seed=5) for _ in range(2)]
    link = save(request_id=one).result[0]
    results = [{"request_id": each, "status": "success", "output": [link]} for each in (one, other)]
    sha256 = save(results=results[0], destination=f"file://{tmp_path}").xcoms["manifest"][0]["sha256"]
    ended = save(
        results=results,
        destination=f"file://{tmp_path}",
        blocked_sha256=[sha256.upper()],
        contact_sheet=True,
    )
    entries = document(tmp_path)["pictures"]
    assert entries == ended.xcoms["manifest"]
    assert [entry["blocked"] for entry in entries] == [True, True]
    assert [entry["same_bytes_as"][0]["request_id"] for entry in entries] == [other, one]
    assert "it is one of 'blocked_sha256'; it has the same bytes as" in task_log()
    assert "a known placeholder" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_names_of_day_and_model(service, tmp_path):
    dag_run = SimpleNamespace(logical_date=datetime(2026, 11, 25, 23, 30, tzinfo=UTC), run_after=None)
    task = operator(
        results=signed(service, submitted(service)),
        destination=f"file://{tmp_path}",
        name="{date}/{model}/{sha256}{suffix}",
    )
    context = {"ti": TaskInstance(), "dag_run": dag_run}
    [uri] = task.execute(context)
    [entry] = document(tmp_path)["pictures"]
    assert uri == entry["uri"] == f"file://{tmp_path}/2026-11-25/midjourney/{entry['sha256']}.png"


def downloads(service: Sandbox) -> int:
    return sum(record.path.startswith("/pictures") for record in service.journal)


def test_names_that_clash_are_told_before_anything_is_downloaded(service, tmp_path):
    request_id = service.add(prompt="x", samples=2)
    ended = save(request_id=request_id, destination=f"file://{tmp_path}", name="{model}/{request_id}")
    assert type(ended.error) is exceptions.DreamboothInputError
    assert isinstance(ended.error, AirflowFailException)
    assert "to two pictures" in str(ended.error)
    assert "Nothing was downloaded. All links are in XCom 'ready'." in str(ended.error)
    assert len(ended.xcoms["ready"][0]["output"]) == 2
    assert downloads(service) == 0


@pytest.mark.parametrize("name", ["manifest.json", "index.html"])
def test_a_file_of_somebody_else_is_found_before_anybody_waits(service, tmp_path, name):
    (tmp_path / name).write_text("{}")
    ended = save(request_id="5", destination=f"file://{tmp_path}", contact_sheet=True)
    assert type(ended.error) is exceptions.DreamboothSaveError
    assert f"{name} is there, but it is no" in str(ended.error)
    assert str(ended.error).endswith("use another destination. Nothing was downloaded.")
    assert service.journal == []
    assert (tmp_path / name).read_text() == "{}"


STORE_WARNINGS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # botocore's dates
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # s3fs leaves sockets
]


@pytest.fixture(scope="module")
def s3():
    with s3_server("records_store", "pictures") as client:
        yield client


def deny_writing(s3: Any, bucket: str) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


@pytest.fixture
def writer_only(s3, monkeypatch):
    """A connection that may write, and neither read nor list; else the server looks at nobody's rights."""
    import boto3

    url = s3.meta.endpoint_url
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "example-secret"}
    iam = boto3.client("iam", endpoint_url=url, region_name="us-east-1", **keys)
    statement = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.create_user(UserName="writer")
    iam.put_user_policy(UserName="writer", PolicyName="write", PolicyDocument=policy)
    key = iam.create_access_key(UserName="writer")["AccessKey"]
    iam.close()
    fields = json.loads(connection(url))
    fields |= {"login": key["AccessKeyId"], "password": key["SecretAccessKey"]}
    monkeypatch.setenv("AIRFLOW_CONN_RECORDS_WRITER", json.dumps(fields))
    requests.post(f"{url}/moto-api/reset-auth", data=b"0", timeout=10)
    yield "records_writer"
    requests.post(f"{url}/moto-api/reset-auth", data=b"inf", timeout=10)


class TestBucketsThatRefuse:
    pytestmark = STORE_WARNINGS

    @pytest.mark.parametrize("bucket", ["nowhere", "locked"])
    def test_the_links_are_kept_and_the_error_says_so(self, s3, service, bucket, monkeypatch):
        if bucket == "locked":
            deny_writing(s3, bucket)
        request_id = service.add(prompt="x", samples=2)
        result = {"request_id": request_id, "status": "success", "output": save(request_id=request_id).result}
        ended = save(results=result, destination=f"s3://{bucket}/x", storage_conn_id="records_store")
        assert type(ended.error) is exceptions.DreamboothSaveError
        assert f"s3://{bucket}/x" in str(ended.error)
        assert "records_store" in str(ended.error)
        assert "All links are in XCom 'ready'" in str(ended.error)
        assert ended.xcoms["ready"][0]["output"] == result["output"]

    def test_where_nothing_may_be_read_the_entries_wait_for_somebody_who_may(
        self, s3, service, writer_only, task_log
    ):
        destination = "s3://pictures/dropbox"
        request_id = service.add(prompt="x")
        options = {"request_id": request_id, "storage_conn_id": writer_only, "contact_sheet": True}
        refused = save(destination=destination, **options)
        assert type(refused.error) is exceptions.DreamboothSaveError
        ended = save(destination=destination, overwrite=True, **options)
        assert ended.error is None
        assert ended.result == [f"{destination}/{request_id}-0.png"]
        assert f"{destination}/manifest.json is not brought up to date" in task_log()

        requests.post(f"{s3.meta.endpoint_url}/moto-api/reset-auth", data=b"inf", timeout=10)
        other = service.add(prompt="y")
        options |= {"request_id": other, "storage_conn_id": "records_store"}
        assert save(destination=destination, **options).error is None
        body = s3.get_object(Bucket="pictures", Key="dropbox/manifest.json")["Body"].read()
        assert [entry["request_id"] for entry in json.loads(body)["pictures"]] == [request_id, other]


def test_lineage_is_told_of_what_was_saved_before_others_failed(service, tmp_path):
    good, bad = service.add(prompt="x"), service.add(prompt="y", picture_faults=("gone",))
    task = operator(request_id=[good, bad], destination=f"file://{tmp_path}")
    with pytest.raises(exceptions.DreamboothSaveError):
        task.execute({"ti": TaskInstance()})
    told = task.get_openlineage_facets_on_failure(None)
    assert [one.name for one in told.outputs] == [f"{tmp_path}/{good}-0.png"]
    assert len(told.inputs) == 1


def test_a_picture_of_another_request_is_not_taken_for_this_one(service, tmp_path):
    first, second = service.add(prompt="x"), service.add(prompt="y")
    options = {"destination": f"file://{tmp_path}", "name": "latest"}
    assert save(request_id=first, **options).error is None
    assert save(request_id=first, **options).error is None  # its own
    ended = save(request_id=second, **options)
    assert type(ended.error) is exceptions.DreamboothPictureRefused
    assert f"latest.png is already there, but not as it should be: it is picture 0 of request {first}" in str(
        ended.error
    )
    assert "a name such as {request_id}-{index} keeps both). overwrite=True replaces it" in str(ended.error)
    assert [entry["request_id"] for entry in document(tmp_path)["pictures"]] == [first]
    assert save(request_id=second, overwrite=True, **options).error is None
    assert [entry["request_id"] for entry in document(tmp_path)["pictures"]] == [second]


def test_a_picture_that_a_killed_task_left_is_not_taken_for_another(service, tmp_path):
    """It was killed after it saved the picture and before it could write down whose it is."""
    first, second = service.add(prompt="x"), service.add(prompt="y")
    options = {"destination": f"file://{tmp_path}", "name": "latest"}
    [saved] = save(request_id=first, **options).xcoms["manifest"]
    (tmp_path / "manifest.json").unlink()
    shutil.rmtree(tmp_path / ".manifest")
    ended = save(request_id=second, **options)
    assert type(ended.error) is exceptions.DreamboothPictureRefused
    assert "it is another picture, of which no manifest tells (a name such as {request_id}-{index}" in str(
        ended.error
    )
    [taken] = save(request_id=first, **options).xcoms["manifest"]
    assert taken["sha256"] == saved["sha256"]
    assert [entry["request_id"] for entry in document(tmp_path)["pictures"]] == [first]


def test_a_picture_that_only_a_part_of_the_manifest_tells_of_is_not_taken_for_another(service, tmp_path):
    """It was killed after it wrote its part and before the manifest."""
    first, second = service.add(prompt="x"), service.add(prompt="y")
    options = {"destination": f"file://{tmp_path}", "name": "latest"}
    assert save(request_id=first, **options).error is None
    (tmp_path / "manifest.json").unlink()
    assert f"it is picture 0 of request {first}" in str(save(request_id=second, **options).error)


def test_a_picture_that_was_replaced_is_not_taken(service, tmp_path):
    one, other = service.add(prompt="x"), service.add(prompt="y")
    options = {"request_id": [one, other], "destination": f"file://{tmp_path}"}
    assert save(**options).error is None
    shutil.copy(tmp_path / f"{other}-0.png", tmp_path / f"{one}-0.png")
    ended = save(**options)
    assert type(ended.error) is exceptions.DreamboothPictureRefused
    assert f"{one}-0.png is already there, but not as it should be: it was replaced" in str(ended.error)
    assert save(**options, overwrite=True).error is None
    assert save(**options).error is None


def test_a_page_that_cannot_be_written_costs_no_picture(service, tmp_path):
    request_id = service.add(prompt="x")
    options = {"request_id": request_id, "destination": f"file://{tmp_path}", "contact_sheet": True}
    (tmp_path / "index.html").mkdir()  # stands for a disk that is full by then
    ended = save(**options)
    assert type(ended.error) is exceptions.DreamboothSaveError
    told = str(ended.error)
    assert told.startswith("The manifest is not up to date: could not write")
    assert "All links are in XCom 'ready'; all pictures, which are saved, are in XCom 'manifest'." in told
    assert len(document(tmp_path)["pictures"]) == len(ended.xcoms["manifest"]) == 1
    (tmp_path / "index.html").rmdir()
    assert save(**options).error is None
    assert downloads(service) == 1


@pytest.mark.parametrize("blocked", ["a" * 63, ["a" * 64, "x"], [5], [None]])
def test_what_is_no_sha256_is_told_when_the_dag_is_parsed(blocked):
    with pytest.raises(ValueError, match=r"blocked_sha256 holds .*; give the 64 hexadecimal digits"):
        operator(request_id="1", blocked_sha256=blocked)
    assert operator(request_id="1", blocked_sha256="A" * 64).blocked_sha256 == ("a" * 64,)
