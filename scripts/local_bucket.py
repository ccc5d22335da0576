# SPDX-License-Identifier: Apache-2.0
"""An S3 bucket on this machine, kept in memory by moto's server, a process of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ConnectionError as Unreachable

from scripts.local_server import LocalServer, free_port
from scripts.processes import Processes

CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}


class LocalBucket(LocalServer):
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

    def begin(self) -> None:
        """Start it and make the bucket."""
        port = self._url.rpartition(":")[2]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        self.processes.start("bucket", command, os.environ)
        self.wait_until(lambda: self._client.create_bucket(Bucket=self.name), Unreachable)

    def stop(self) -> None:
        """End it."""
        try:
            self._client.close()
        finally:
            super().stop()
