# SPDX-License-Identifier: Apache-2.0
"""An S3 bucket on this machine, kept in memory by moto's server, a process of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.exceptions import ConnectionError as Unreachable

from scripts.local_airflow import free_port
from scripts.processes import Processes

CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}


class LocalBucket:
    """
    Run the server with one empty bucket; a context manager that starts it and ends it.

    :param folder: where it has its log.
    """

    name = "pictures"

    def __init__(self, folder: Path) -> None:
        self.processes = Processes(folder)
        self._url = f"http://127.0.0.1:{free_port()}"
        extra = {"endpoint_url": self._url, "region_name": CREDENTIALS["region_name"]}
        self.connection_json = json.dumps(
            {"conn_type": "aws", "login": "local", "password": "local", "extra": extra}
        )
        self._client: Any = boto3.client("s3", endpoint_url=self._url, **CREDENTIALS)

    def objects(self, prefix: str) -> dict[str, int]:
        """The names and sizes of what is under a prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}

    def read(self, name: str) -> bytes:
        """One object."""
        return bytes(self._client.get_object(Bucket=self.name, Key=name)["Body"].read())

    def __enter__(self) -> Self:
        port = self._url.rpartition(":")[2]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        try:
            self.processes.start("bucket", command, os.environ)
            self._make(30)
        except BaseException:
            self.processes.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()
        self.processes.stop()

    def _make(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._client.create_bucket(Bucket=self.name)
            except Unreachable:
                self.processes.check()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return
