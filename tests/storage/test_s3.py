# SPDX-License-Identifier: Apache-2.0
"""A real S3 server over HTTP on localhost, reached as a DAG reaches it: by a connection id."""

from __future__ import annotations

import json
import logging
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_dreambooth.exceptions import DreamboothSaveError
from airflow_provider_dreambooth.storage import Picture, read_manifest, save_pictures, write_manifest
from tests.airflow_versions import needs_airflow
from tests.storage.conftest import Reply
from tests.storage.s3_server import KEY, REGION, SECRET, connection, s3_server
from tests.storage.test_limits import large, run
from tests.storage.test_manifest import keys as keys_of
from tests.storage.test_manifest import written_at_once

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

# The libraries' own: botocore's dates, and sockets that s3fs leaves to the interpreter's end.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CONN = "picture_store"


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A bucket; what file systems were attached before is of another server."""
    with s3_server(CONN, "pictures") as client:
        yield client


@pytest.fixture
def save(s3, log):
    def run(pictures, prefix, conn_id=CONN, **options):
        destination = ObjectStoragePath(f"s3://{prefix}", conn_id=conn_id)
        options = {"allow_private": True, "link_patience": 0.0, "log": log} | options
        return save_pictures(pictures, destination, **options)

    return run


def keys(s3, prefix: str) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket="pictures", Prefix=prefix).get("Contents", [])]


def test_pictures_appear_whole_with_their_content_type(s3, save, host, pictures, caplog):
    caplog.set_level(logging.INFO, "tests.storage")
    wanted = [Picture("1", i, host.give(f"/{i}", data)) for i, data in enumerate(pictures.values())]
    report = save(wanted, "pictures/whole")
    assert report.failed == ()
    assert [item.uri for item in report.saved] == [
        "s3://pictures/whole/1-0.png",
        "s3://pictures/whole/1-1.jpg",
        "s3://pictures/whole/1-2.webp",
        "s3://pictures/whole/1-3.gif",
    ]
    for item, data in zip(report.saved, pictures.values(), strict=True):
        found = s3.get_object(Bucket="pictures", Key=item.uri.removeprefix("s3://pictures/"))
        assert found["Body"].read() == data
        assert found["ContentType"] == item.content_type
    assert CONN not in str(report)
    assert CONN not in "".join(r.getMessage() for r in caplog.records if r.name == "tests.storage")

    asked = len(host.requests)
    assert save(wanted, "pictures/whole") == report
    assert len(host.requests) == asked

    folder = ObjectStoragePath("s3://pictures/whole", conn_id=CONN)
    uri = write_manifest(folder, report.saved, log=logging.getLogger("tests.storage"))
    assert uri == "s3://pictures/whole/manifest.json"
    found = s3.get_object(Bucket="pictures", Key="whole/manifest.json")
    assert found["ContentType"] == "application/json"
    assert CONN not in found["Body"].read().decode()
    assert len(read_manifest(folder)) == 4


def test_writers_of_one_manifest_lose_nothing_of_each_other(s3):
    expected = written_at_once("s3://pictures/together", CONN, writers=4)
    assert keys_of(read_manifest(ObjectStoragePath("s3://pictures/together", conn_id=CONN))) == expected


def test_a_large_picture_goes_up_in_parts(s3, save, host, pictures):
    data = pictures[".png"] + bytes(18 << 20)
    report = save([Picture("1", 0, host.give("/0", data))], "pictures/large")
    assert report.saved[0].bytes == len(data)
    found = s3.head_object(Bucket="pictures", Key="large/1-0.png")
    assert found["ContentLength"] == len(data)
    assert found["ContentType"] == "image/png"
    assert "-" in found["ETag"]


def test_memory_stays_flat_however_large_the_picture(s3, host, folder, pictures):
    length = len(pictures[".png"]) + (100 << 20)
    url = host.give("/large", Reply(large(pictures[".png"], 100), length=length))
    small = host.give("/small", pictures[".gif"])
    found = run(folder, url, 0, small, "s3://pictures/flat", CONN)
    assert [item["bytes"] for item in found["saved"]] == [length, len(pictures[".gif"])]
    assert found["grown"] < 50 * 1024  # kilobytes
    assert s3.head_object(Bucket="pictures", Key="flat/1-0.png")["ContentLength"] == length


@pytest.fixture
def asked(s3):
    """Each request to the store, by the name of its operation."""
    fs = ObjectStoragePath("s3://pictures/", conn_id=CONN).fs
    found: Counter[str] = Counter()

    def count(model, **_):
        found[model.name] += 1

    fs.connect()
    fs.s3.meta.events.register("before-call.s3", count, unique_id="asked")
    yield found
    fs.s3.meta.events.unregister("before-call.s3", unique_id="asked")


def test_what_is_there_is_asked_for_in_few_requests(s3, save, host, pictures, asked):
    url = host.give("/x", pictures[".png"])
    wanted = [Picture(str(13443950 + number), 0, url) for number in range(100)]
    assert len(save(wanted, "pictures/few").saved) == 100
    assert asked["PutObject"] == 100
    assert asked["HeadObject"] == 0
    assert asked["ListObjectsV2"] == 3  # of which one sees whether the folder can be used
    downloads = host.asked("/x")
    assert len(save(wanted, "pictures/few").saved) == 100
    assert host.asked("/x") == downloads
    assert asked["PutObject"] == asked["GetObject"] == 100
    assert asked["ListObjectsV2"] == 6


@pytest.mark.parametrize("overwrite", [False, True])
def test_similar_names_are_not_taken_for_the_same(s3, save, host, pictures, overwrite):
    prefix = f"similar-{overwrite}"
    others = ["1344392-0.png", "13443927-01.png", "134439270-0.jpg", "13443927-0.txt", "x/13443927-0.png"]
    for name in others:
        s3.put_object(Bucket="pictures", Key=f"{prefix}/{name}", Body=b"x")
    url = host.give("/x", pictures[".gif"])
    save([Picture("13443927", 0, url)], f"pictures/{prefix}", overwrite=overwrite)
    assert set(keys(s3, f"{prefix}/")) == {f"{prefix}/{name}" for name in [*others, "13443927-0.gif"]}
    other = host.give("/y", pictures[".png"])
    report = save([Picture("13443927", 0, other)], f"pictures/{prefix}", overwrite=overwrite)
    found = "13443927-0.png" if overwrite else "13443927-0.gif"
    assert report.saved[0].uri == f"s3://pictures/{prefix}/{found}"
    assert set(keys(s3, f"{prefix}/")) == {f"{prefix}/{name}" for name in [*others, found]}


def test_pictures_in_the_bucket_itself(s3, save, host, pictures):
    wanted = [Picture("77", 0, host.give("/x", pictures[".gif"]))]
    report = save(wanted, "pictures")
    assert report.saved[0].uri == "s3://pictures/77-0.gif"
    assert save(wanted, "pictures") == report
    assert host.asked("/x") == 1


ACCESS_POINT = "arn:aws:s3:us-east-1:123456789012:accesspoint/mine"


@pytest.fixture
def access_point(s3, monkeypatch) -> str:
    """The connection to another way into the bucket, at a host of its own: the server is also its proxy."""
    import boto3

    proxies = {"config_kwargs": {"proxies": {"http": s3.meta.endpoint_url}}}
    monkeypatch.setenv(
        "AIRFLOW_CONN_ACCESS_POINT", connection("http://s3-accesspoint.us-east-1.amazonaws.com", **proxies)
    )
    control = boto3.client(
        "s3control",
        endpoint_url="http://s3-control.us-east-1.amazonaws.com",
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=boto3.session.Config(**proxies["config_kwargs"]),
    )
    control.create_access_point(AccountId="123456789012", Name="mine", Bucket="pictures")
    return "access_point"


@needs_airflow(3, 2, "before that the library of paths takes an ARN for a host and a port")
def test_an_access_point_by_its_arn(s3, save, host, pictures, access_point, log):
    data = [pictures[".png"], pictures[".png"] + bytes(18 << 20)]
    wanted = [Picture("1", index, host.give(f"/{index}", one)) for index, one in enumerate(data)]
    report = save(wanted, f"{ACCESS_POINT}/by/arn", access_point)
    assert report.failed == ()
    assert [one.uri for one in report.saved] == [f"s3://{ACCESS_POINT}/by/arn/1-{n}.png" for n in range(2)]
    assert keys(s3, "by/arn/") == ["by/arn/1-0.png", "by/arn/1-1.png"]
    assert save(wanted, f"{ACCESS_POINT}/by/arn", access_point) == report
    assert host.asked("/0") == host.asked("/1") == 1
    folder = ObjectStoragePath(f"s3://{ACCESS_POINT}/by/arn", conn_id=access_point)
    write_manifest(folder, report.saved, log=log)
    assert keys_of(read_manifest(folder)) == [("1", 0), ("1", 1)]


def test_what_breaks_on_the_way_leaves_nothing(s3, save, host, pictures):
    wanted = [
        Picture("1", 0, host.give("/0", Reply(pictures[".png"][:-3], status=200))),
        Picture("1", 1, host.give("/1", pictures[".png"])),
    ]
    report = save(wanted, "pictures/broken")
    assert [item.index for item in report.failed] == [0]
    assert keys(s3, "broken") == ["broken/1-1.png"]


def test_a_truncated_object_is_told(s3, save, host, pictures):
    s3.put_object(Bucket="pictures", Key="cut/1-0.jpg", Body=pictures[".jpg"][:-5])
    wanted = [Picture("1", 0, host.give("/0", pictures[".jpg"]))]
    (failed,) = save(wanted, "pictures/cut").failed
    assert "s3://pictures/cut/1-0.jpg is already there" in failed.reason
    wanted = [Picture("1", 0, host.give("/0", pictures[".png"]))]
    assert len(save(wanted, "pictures/cut", overwrite=True).saved) == 1
    assert keys(s3, "cut") == ["cut/1-0.png"]


def test_a_bucket_that_is_not_there(save, host, pictures):
    wanted = [Picture("1", 0, host.give("/0", pictures[".png"]))]
    with pytest.raises(DreamboothSaveError, match="destination s3://nowhere/x cannot be used") as caught:
        save(wanted, "nowhere/x")
    assert f"storage_conn_id '{CONN}': there is no bucket 'nowhere'" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert host.requests == []


def test_a_store_that_is_not_reached(save, host, pictures, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        extra = {"config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 1}}
        monkeypatch.setenv("AIRFLOW_CONN_DEAD_STORE", connection(url, **extra))
        with pytest.raises(DreamboothSaveError, match="storage_conn_id 'dead_store'"):
            save([Picture("1", 0, host.give("/0", pictures[".png"]))], "pictures/x", "dead_store")
    assert host.requests == []


def test_an_upload_that_is_refused_leaves_nothing_and_stops_the_rest(s3, save, host, pictures):
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::locked/*",
            }
        ],
    }
    s3.create_bucket(Bucket="locked")
    s3.put_bucket_policy(Bucket="locked", Policy=json.dumps(policy))
    wanted = [Picture("1", i, host.give(f"/{i}", pictures[".png"])) for i in range(20)]
    report = save(wanted, "locked/x", max_parallel=2)
    assert len(report.failed) == 20
    assert "could not write" in report.failed[0].reason
    assert "PermissionError" in report.failed[0].reason
    assert "s3://locked/x/1-0.png" in report.failed[0].reason
    assert report.failed[-1].reason.startswith("not tried")
    assert len(host.requests) <= 4
    assert "Contents" not in s3.list_objects_v2(Bucket="locked")
