# SPDX-License-Identifier: Apache-2.0
"""Where pictures come from and where they go: a host of files and an S3 server, in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BUCKET = "pictures"
CONNECTION = "bench_store"
KEYS = ("AKIAEXAMPLE", "example-secret")


def main() -> None:
    """Serve as the first argument says, and print the port."""
    if sys.argv[1] == "s3":
        serve_s3()
    else:
        asyncio.run(serve_files(sys.argv[2]))


async def serve_files(folder: str) -> None:
    """Give the files of a folder, each by the kernel's sendfile."""
    from aiohttp import web

    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def serve_s3() -> None:
    """Play S3, in memory."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    threading.Event().wait()


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[str]:
    """Run one of them meanwhile; gives its URL."""
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()
            server.wait()


def draw(kind: str, size: int) -> bytes:
    """Make a picture of noise whose file has about so many bytes."""
    from PIL import Image

    edge = int((size / 3) ** 0.5)
    while True:
        file = io.BytesIO()
        noise = Image.frombytes("RGB", (edge, edge), os.urandom(3 * edge * edge))
        noise.save(file, kind, **({"compress_level": 0} if kind == "PNG" else {"quality": 95}))
        if file.tell() > 0.98 * size:
            return file.getvalue()
        edge = int(edge * max(1.01, (size / file.tell()) ** 0.5))


def pictures(folder: Path, size: int, count: int) -> list[str]:
    """Draw files of about so many bytes, PNG and JPEG in turn, and give their names."""
    names = [f"{size}-{number}.{('png', 'jpg')[number % 2]}" for number in range(count)]
    for name in names:
        (folder / name).write_bytes(draw({"png": "PNG", "jpg": "JPEG"}[name[-3:]], size))
    return names


def s3_client(url: str) -> Any:
    """Reach the S3 server as a user of boto3 does."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEYS[0],
        aws_secret_access_key=KEYS[1],
    )


def s3_environment(url: str) -> dict[str, str]:
    """Give the Airflow connection to the S3 server."""
    extra = {"endpoint_url": url, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": KEYS[0], "password": KEYS[1], "extra": extra}
    return {
        "AWS_EC2_METADATA_DISABLED": "true",
        f"AIRFLOW_CONN_{CONNECTION.upper()}": json.dumps(connection),
    }


if __name__ == "__main__":
    main()
