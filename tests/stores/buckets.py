# SPDX-License-Identifier: Apache-2.0
"""The stores as the tests see them: alike from outside, each looked into with its vendor's own client."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import requests
from airflow.providers.common.compat.sdk import ObjectStoragePath

from tests.stores.proxy import FaultProxy, Request

BUCKET = "pictures"
MIB = 1 << 20
STALLED = 8
"""Seconds without an answer after which a store's client gives a request up; its own are sixty and more."""


@dataclass
class Found:
    """An object as the store has it."""

    content: bytes
    content_type: str | None


class Bucket(ABC):
    """
    A bucket, with a proxy on the way to it that can break things.

    :param url: of the store itself.
    """

    name: str
    scheme: str
    conn_type: str
    large: int
    """Bytes of a picture that goes up in several requests."""

    def __init__(self, url: str, proxy: FaultProxy) -> None:
        self.direct, self.proxy = url, proxy
        self.conn_id = f"store_{self.name}"

    def destination(self, folder: str, conn_id: str | None = "") -> ObjectStoragePath:
        return ObjectStoragePath(self.uri(folder), conn_id=self.conn_id if conn_id == "" else conn_id)

    def uri(self, name: str) -> str:
        return f"{self.scheme}://{BUCKET}/{name}"

    @abstractmethod
    def connection(self, url: str) -> dict[str, Any]:
        """Its fields, for reaching the store at this address."""

    def environ(self) -> dict[str, str]:
        """The variables by which its clients find it without a connection."""
        return {}

    @abstractmethod
    def create(self) -> None: ...

    @abstractmethod
    def names(self, folder: str) -> list[str]: ...

    @abstractmethod
    def read(self, name: str) -> Found: ...

    @abstractmethod
    def write(self, name: str, content: bytes) -> None: ...

    def unfinished(self, folder: str) -> list[str]:
        """Uploads that were begun, and neither finished nor given up."""
        return []

    def sends(self, request: Request) -> bool:
        """Whether a request brings a picture's bytes, all or some of them."""
        return request.method in ("PUT", "POST") and request.length > 0

    @abstractmethod
    def commits(self, request: Request) -> bool:
        """Whether a request is the one after which a large object is there."""

    def reads(self, request: Request) -> bool:
        return request.method == "GET" and ".png" in request.target

    def impatient(self) -> None:  # noqa: B027 - not each of them can be told
        """Let its client wait less between its tries, and make fewer of them."""


class S3Bucket(Bucket):
    name, scheme, conn_type = "s3", "s3", "aws"
    large = 20 * MIB

    def connection(self, url):
        extra = {"endpoint_url": url, "region_name": "us-east-1"}
        if url != self.direct:  # only the proxy stalls; moto itself takes its time to join 500 MB
            extra["config_kwargs"] = {"retries": {"max_attempts": 1}, "read_timeout": STALLED}
        return {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example-secret", "extra": extra}

    def environ(self):
        return {
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "example-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.proxy.url,
        }

    def create(self):
        import boto3

        self.client = boto3.client(
            "s3",
            endpoint_url=self.direct,
            region_name="us-east-1",
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="example-secret",
        )
        self.client.create_bucket(Bucket=BUCKET)

    def names(self, folder):
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=folder + "/")
        return [one["Key"] for one in found.get("Contents", [])]

    def read(self, name):
        found = self.client.get_object(Bucket=BUCKET, Key=name)
        return Found(found["Body"].read(), found["ContentType"])

    def write(self, name, content):
        self.client.put_object(Bucket=BUCKET, Key=name, Body=content)

    def unfinished(self, folder):
        found = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=folder + "/")
        return [one["Key"] for one in found.get("Uploads", [])]

    def sends(self, request):
        return request.method == "PUT"

    def commits(self, request):
        return request.method == "POST" and "uploadId=" in request.target


class AzureBucket(Bucket):
    name, scheme, conn_type = "azure", "abfs", "wasb"
    large = 20 * MIB

    def __init__(self, url, proxy, connection_string: Callable[[str], str]) -> None:
        super().__init__(url, proxy)
        self._string = connection_string

    def connection(self, url):
        return {"conn_type": "wasb", "extra": {"connection_string": self._string(url)}}

    def environ(self):
        return {"AZURE_STORAGE_CONNECTION_STRING": self._string(self.proxy.url)}

    def create(self):
        from azure.storage.blob import BlobServiceClient

        self.client = BlobServiceClient.from_connection_string(self._string(self.direct))
        self.container = self.client.create_container(BUCKET)

    def names(self, folder):
        return sorted(self.container.list_blob_names(name_starts_with=folder + "/"))

    def read(self, name):
        blob = self.container.get_blob_client(name)
        return Found(blob.download_blob().readall(), blob.get_blob_properties().content_settings.content_type)

    def write(self, name, content):
        self.container.upload_blob(name, content, overwrite=True)

    def sends(self, request):
        return request.method == "PUT" and "comp=blocklist" not in request.target

    def commits(self, request):
        return request.method == "PUT" and "comp=blocklist" in request.target

    def impatient(self):
        from azure.storage.blob._shared.policies_async import AsyncStorageRetryPolicy

        fs = self.destination("x").fs
        for policy in fs.service_client._pipeline._impl_policies:
            if isinstance(policy, AsyncStorageRetryPolicy):
                policy.initial_backoff = policy.random_jitter_range = policy.increment_base = 0.1
                policy.total_retries = 2
        fs._timeout_kwargs["read_timeout"] = STALLED


class GcsBucket(Bucket):
    name, scheme, conn_type = "gcs", "gs", "google_cloud_platform"
    large = 20 * MIB

    def connection(self, url):
        extra = {"project": "example", "is_anonymous": True, "gcs.endpoint": url}
        return {"conn_type": "google_cloud_platform", "extra": extra}

    def environ(self):
        return {"STORAGE_EMULATOR_HOST": self.proxy.url}

    def create(self):
        self.client = requests.Session()
        made = self.client.post(f"{self.direct}/storage/v1/b?project=example", json={"name": BUCKET})
        made.raise_for_status()

    def names(self, folder):
        found = self.client.get(f"{self.direct}/storage/v1/b/{BUCKET}/o", params={"prefix": folder + "/"})
        return sorted(one["name"] for one in found.json().get("items", []))

    def read(self, name):
        place = f"{self.direct}/storage/v1/b/{BUCKET}/o/{name.replace('/', '%2F')}"
        content = self.client.get(place, params={"alt": "media"})
        content.raise_for_status()
        return Found(content.content, self.client.get(place).json()["contentType"])

    def write(self, name, content):
        place = f"{self.direct}/upload/storage/v1/b/{BUCKET}/o"
        done = self.client.post(place, params={"uploadType": "media", "name": name}, data=content)
        done.raise_for_status()

    def impatient(self):
        import aiohttp
        import gcsfs.retry

        self.destination("x").fs.requests_timeout = aiohttp.ClientTimeout(total=STALLED)
        gcsfs.retry.asyncio = SimpleNamespace(sleep=lambda _: asyncio.sleep(0.01))

    def sends(self, request):
        return "uploadType=multipart" in request.target or _part(request)

    def commits(self, request):
        """The last part."""
        first, _, size = request.headers.get("content-range", "").partition("/")
        return bool(size) and int(first.rpartition("-")[2]) + 1 == int(size)


def _part(request: Request) -> bool:
    return "content-range" in request.headers


class DiskBucket(Bucket):
    """A folder on disk: nothing is between it and its client."""

    name, scheme, conn_type = "file", "file", ""
    large = 20 * MIB

    def __init__(self, folder: Path, proxy: FaultProxy) -> None:
        super().__init__(str(folder), proxy)
        self.folder = folder

    def destination(self, folder, conn_id=None):
        return ObjectStoragePath(self.uri(folder))

    def uri(self, name):
        return f"file://{self.folder}/{name}"

    def connection(self, url):
        return {}

    def create(self):
        self.folder.mkdir()

    def names(self, folder):
        """All of them, hidden ones too."""
        place = self.folder / folder
        return sorted(str(path.relative_to(self.folder)) for path in place.rglob("*") if path.is_file())

    def read(self, name):
        return Found((self.folder / name).read_bytes(), None)

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def commits(self, request):
        return False


def store_address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 80)


def encoded(fields: dict[str, Any]) -> str:
    return json.dumps(fields)
