# SPDX-License-Identifier: Apache-2.0
"""An S3 server over HTTP on localhost, and the Airflow connection to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEY, SECRET, REGION = "AKIAEXAMPLE", "example-secret", "us-east-1"


def connection(url: str, **extra: Any) -> str:
    """An Airflow connection to a server, as JSON."""
    fields = {"conn_type": "aws", "login": KEY, "password": SECRET}
    return json.dumps(fields | {"extra": {"endpoint_url": url, "region_name": REGION, **extra}})


@contextmanager
def s3_server(conn_id: str, bucket: str) -> Iterator[Any]:
    """
    Run a server with one bucket and give boto's client of it; the connection is in the environment.

    Airflow keeps the file system of a connection id for the whole process: each caller needs its own.
    """
    import boto3
    from moto.server import ThreadedMotoServer

    before = dict(os.environ)
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = connection(url)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
    client = boto3.client("s3", endpoint_url=url, region_name=REGION, **keys)
    client.create_bucket(Bucket=bucket)
    try:
        yield client
    finally:
        client.close()
        server.stop()
        os.environ.clear()
        os.environ.update(before)
