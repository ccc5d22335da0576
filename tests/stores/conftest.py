# SPDX-License-Identifier: Apache-2.0
"""Real stores on this machine, each behind a proxy that breaks what a test wants broken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_provider_dreambooth.storage import Picture, save_pictures
from scripts.local_stores import LocalAzure, LocalGcs, LocalS3
from tests.storage.conftest import draw, folder, host, log, pictures  # noqa: F401 - fixtures
from tests.stores import buckets, proxy
from tests.stores.buckets import AzureBucket, Bucket, DiskBucket, GcsBucket, S3Bucket

# gcsfs asks by gRPC what kind a bucket is; no emulator answers that, and it waits a minute each time.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["NO_GCE_CHECK"] = "true"


def pytest_configure(config):
    # The clients leave sockets and sessions to the interpreter's end, and use old ways of each other.
    for kind in (
        "ResourceWarning",
        "pytest.PytestUnraisableExceptionWarning",
        "DeprecationWarning",
        "FutureWarning",
    ):
        config.addinivalue_line("filterwarnings", f"ignore::{kind}")


REMOTE = ("s3", "azure", "gcs")
ALL = (*REMOTE, "file")


@pytest.fixture(scope="session")
def all_buckets(tmp_path_factory) -> Iterator[dict[str, Bucket]]:
    """Each store, started once."""
    with ExitStack() as stack:
        ways = {name: stack.enter_context(proxy.running()) for name in ALL}
        s3 = stack.enter_context(LocalS3())
        azure = stack.enter_context(LocalAzure())
        gcs = stack.enter_context(LocalGcs(ways["gcs"].url))
        found: list[Bucket] = [
            S3Bucket(s3.url, ways["s3"]),
            AzureBucket(azure.url, ways["azure"], LocalAzure.connection_string),
            GcsBucket(gcs.url, ways["gcs"]),
            DiskBucket(Path(tmp_path_factory.mktemp("disk")) / "pictures", ways["file"]),
        ]
        for bucket in found:
            if bucket.name in REMOTE:
                bucket.proxy.store = buckets.store_address(bucket.direct)
                for conn_id, url in (
                    (bucket.conn_id, bucket.proxy.url),
                    (f"{bucket.conn_id}_direct", bucket.direct),
                ):
                    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = buckets.encoded(bucket.connection(url))
            bucket.create()
            bucket.impatient()
        yield {bucket.name: bucket for bucket in found}


@pytest.fixture(params=ALL)
def bucket(request, all_buckets) -> Iterator[Bucket]:
    """Every store in turn, with nothing broken on the way."""
    yield from _whole(all_buckets[request.param])


@pytest.fixture(params=REMOTE)
def remote(request, all_buckets) -> Iterator[Bucket]:
    """Every store that is reached over the network."""
    yield from _whole(all_buckets[request.param])


@pytest.fixture
def s3(all_buckets) -> Iterator[S3Bucket]:
    yield from _whole(all_buckets["s3"])


@pytest.fixture
def gcs(all_buckets) -> Iterator[GcsBucket]:
    yield from _whole(all_buckets["gcs"])


@pytest.fixture
def azure(all_buckets) -> Iterator[AzureBucket]:
    yield from _whole(all_buckets["azure"])


def _whole(bucket):
    bucket.proxy.fault = None
    bucket.proxy.requests.clear()
    yield bucket
    bucket.proxy.fault = None
    bucket.proxy.going.set()
    bucket.proxy.going.clear()


@pytest.fixture
def prefix(request) -> str:
    """A folder that no other test has."""
    return "".join(char if char.isalnum() else "-" for char in request.node.name).strip("-")


@pytest.fixture
def save(log):  # noqa: F811 - the fixture
    def run(pictures, destination, **options):  # noqa: F811
        options = {"allow_private": True, "link_patience": 0.0, "log": log} | options
        return save_pictures(pictures, destination, **options)

    return run


@pytest.fixture(scope="session")
def png() -> bytes:
    return draw("PNG")


def asked_for(links) -> list[Picture]:
    return [Picture("1", number, link) for number, link in enumerate(links)]
