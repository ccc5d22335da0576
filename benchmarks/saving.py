# SPDX-License-Identifier: Apache-2.0
"""How fast pictures are saved, and in how much memory, against a bare loop that checks nothing.

Ours is what the operator does with links that are ready: look at the destination, download, check, hash, save,
write the manifest. The peer streams with aiohttp to the same place, as many at a time: straight into the final
file for ``file://``; into a temporary file that boto3 uploads for ``s3://``. Host, S3 server and each run are
processes of their own.

    python benchmarks/saving.py --rounds 5
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARALLEL = 4
KINDS = 8
"""Different pictures of a size, half of them PNG, half JPEG."""
SIZES = {"1 MB": (1_000_000, 1000), "50 MB": (50_000_000, 20)}
SMOKE = {"20 kB": (20_000, 16), "500 kB": (500_000, 4)}
BUCKET = "pictures"


def picture(kind: str, size: int) -> bytes:
    """Draw noise until the file has about so many bytes."""
    from PIL import Image

    edge = int((size / 3) ** 0.5)
    noise = Image.frombytes("RGB", (edge, edge), os.urandom(3 * edge * edge))
    while True:
        file = io.BytesIO()
        noise.save(file, kind, **({"compress_level": 0} if kind == "PNG" else {"quality": 95}))
        if file.tell() > size * 0.98:
            return file.getvalue()
        edge = int(edge * max(1.01, (size / file.tell()) ** 0.5))
        noise = Image.frombytes("RGB", (edge, edge), os.urandom(3 * edge * edge))


def serve_pictures(folder: str) -> None:
    """Give the files of a folder, each by the kernel's sendfile."""
    from aiohttp import web

    async def main() -> None:
        app = web.Application()
        app.router.add_static("/", folder)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())


def serve_s3() -> None:
    """Play S3, in memory."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    while True:
        time.sleep(60)


def s3_client(url: str) -> Any:
    """Reach the S3 server as a user of boto3 does."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="example-secret",
    )


def ours(links: list[str], place: str, parallel: int) -> None:
    """Save as the operator does, once everything is ready."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_dreambooth.storage import Picture, read_manifest, save_pictures, write_manifest

    folder = ObjectStoragePath(place, conn_id="bench_store" if place.startswith("s3") else None)
    read_manifest(folder, "manifest.json")
    pictures = [Picture(str(number), 0, link) for number, link in enumerate(links, 13443927)]
    log = logging.getLogger("saving")
    report = save_pictures(pictures, folder, max_parallel=parallel, allow_private=True, log=log)
    assert not report.failed, report.failed
    write_manifest(folder, "manifest.json", [saved.to_dict() for saved in report.saved])


def bare(links: list[str], place: str, parallel: int) -> None:
    """Stream with nothing around it: what a user would write instead."""
    asyncio.run(_bare(links, place, parallel))


async def _bare(links: list[str], place: str, parallel: int) -> None:
    import aiohttp

    todo = list(enumerate(links))
    if place.startswith("s3://"):
        client = s3_client(json.loads(os.environ["AIRFLOW_CONN_BENCH_STORE"])["extra"]["endpoint_url"])
        prefix = place.removeprefix(f"s3://{BUCKET}/")
        folder = Path(tempfile.mkdtemp())
    else:
        client, prefix, folder = None, "", Path(place.removeprefix("file://"))
        folder.mkdir(parents=True, exist_ok=True)

    async def work(session: Any) -> None:
        while todo:
            number, link = todo.pop()
            path = folder / f"{number}.{link.rpartition('.')[2]}"
            async with session.get(link) as reply:
                reply.raise_for_status()
                with path.open("wb") as file:  # noqa: ASYNC230 - as such loops are written
                    async for chunk in reply.content.iter_chunked(1 << 16):
                        file.write(chunk)
            if client:
                await asyncio.to_thread(client.upload_file, str(path), BUCKET, f"{prefix}/{path.name}")
                path.unlink()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=parallel)) as session:
        await asyncio.gather(*(work(session) for _ in range(parallel)))
    if client:
        folder.rmdir()


def memory(name: str) -> int:
    """Read VmRSS or VmHWM (Linux), in bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(name + ":")[1].split()[0]) * 1024


def run(way: str, place: str, links: list[str], parallel: int) -> None:
    """Measure one way in this process, after a first picture that loads what is loaded once."""
    save = {"ours": ours, "bare": bare}[way]
    save(links[:1], f"{place}/warm", parallel)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # VmHWM begins anew
    idle, cpu, began = memory("VmRSS"), time.process_time(), time.perf_counter()
    save(links, f"{place}/pictures", parallel)
    figures = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "grown": memory("VmHWM") - idle,
    }
    print(json.dumps(figures))


@contextlib.contextmanager
def process(*args: str) -> Iterator[str]:
    """Run one of the servers meanwhile; it says its port."""
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, __file__, *args], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()
            server.wait()


class Bench:
    """Everything that the runs of one place and size share."""

    def __init__(self, folder: Path, host: str, s3: str, parallel: int) -> None:
        self.folder, self.host, self.s3, self.parallel = folder, host, s3, parallel
        self.environment = os.environ | {
            "TMPDIR": str(folder),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AIRFLOW_CONN_BENCH_STORE": json.dumps(
                {
                    "conn_type": "aws",
                    "login": "AKIAEXAMPLE",
                    "password": "example-secret",
                    "extra": {"endpoint_url": s3, "region_name": "us-east-1"},
                }
            ),
        }

    def once(self, way: str, scheme: str, links: list[str]) -> dict[str, float]:
        """Run one way once, into an empty place, and see that all is there."""
        import requests

        target = self.folder / "target"
        if scheme == "file":
            place = f"file://{target}"
        else:
            place = f"s3://{BUCKET}"
            requests.post(f"{self.s3}/moto-api/reset", timeout=60).raise_for_status()
            client = s3_client(self.s3)
            client.create_bucket(Bucket=BUCKET)
        command = [sys.executable, __file__, "run", way, place, str(self.parallel)]
        done = subprocess.run(
            command,
            input="\n".join(links),
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        if scheme == "file":
            found = sum(path.suffix != ".json" for path in (target / "pictures").iterdir())
            shutil.rmtree(target)
        else:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="pictures/")
            keys = [item["Key"] for page in pages for item in page["Contents"]]
            found = sum(not key.endswith(".json") for key in keys)
        assert found == len(links), f"{found} of {len(links)} are there"
        return json.loads(done.stdout.splitlines()[-1])


def file_system(folder: Path) -> str:
    """Name what a folder lies on (Linux)."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    inside = [mount for mount in mounts if folder.is_relative_to(mount[0])]
    return max(inside, key=lambda mount: len(mount[0]))[1]


def main() -> None:
    """Alternate, and print the table."""
    if sys.argv[1:2] == ["serve-pictures"]:
        return serve_pictures(sys.argv[2])
    if sys.argv[1:2] == ["serve-s3"]:
        return serve_s3()
    if sys.argv[1:2] == ["run"]:
        return run(sys.argv[2], sys.argv[3], sys.stdin.read().split(), int(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parallel", type=int, default=PARALLEL)
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)
    parser.add_argument("--only", nargs="*", default=["file", "s3"], choices=["file", "s3"])
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, one round")
    asked = parser.parse_args()
    rounds = 1 if asked.smoke else asked.rounds
    print("| what | ours, MB/s | bare loop, MB/s | ours / bare | target | CPU, ours / bare | "
          "memory over idle, ours | bare |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        (folder / "host").mkdir()
        with process("serve-pictures", str(folder / "host")) as host, process("serve-s3") as s3:
            bench = Bench(folder, host, s3, asked.parallel)
            for size, (length, count) in (SMOKE if asked.smoke else SIZES).items():
                kinds = [f"{size.replace(' ', '')}-{n}.{('png', 'jpg')[n % 2]}" for n in range(KINDS)]
                total = 0
                for kind in kinds:
                    data = picture({"png": "PNG", "jpg": "JPEG"}[kind[-3:]], length)
                    (folder / "host" / kind).write_bytes(data)
                links = [f"{host}/{kinds[number % KINDS]}" for number in range(count)]
                total = sum((folder / "host" / kinds[number % KINDS]).stat().st_size for number in range(count))
                for scheme in asked.only:
                    found: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
                    for number in range(rounds):
                        for way in ("ours", "bare") if number % 2 == 0 else ("bare", "ours"):
                            found[way].append(bench.once(way, scheme, links))
                    pairs = list(zip(found["ours"], found["bare"], strict=True))

                    def median(way: str, what: str) -> float:
                        return statistics.median(one[what] for one in found[way])

                    ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in pairs)
                    cpu = statistics.median(a["cpu"] / b["cpu"] for a, b in pairs)
                    to = f"file:// on {file_system(folder)}" if scheme == "file" else "s3:// on localhost"
                    print(
                        f"| {count:,} × {size} to {to} "
                        f"| {total / 1e6 / median('ours', 'seconds'):.0f} "
                        f"| {total / 1e6 / median('bare', 'seconds'):.0f} "
                        f"| {ratio:.2f} | ≥ 0.8 | {cpu:.2f} "
                        f"| {median('ours', 'grown') / 1e6:.1f} MB | {median('bare', 'grown') / 1e6:.1f} MB |",
                        flush=True,
                    )
    return None


if __name__ == "__main__":
    main()
