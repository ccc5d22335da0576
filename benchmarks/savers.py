# SPDX-License-Identifier: Apache-2.0
"""Two ways to save pictures, each measured in a process of its own: ours, and a bare loop."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Figures
from hosts import BUCKET, CONNECTION, s3_client

FIRST_ID = 13443927
"""Of the requests: in life they have eight digits."""


def measure(way: str, links: list[str], place: str, s3: str, parallel: int, sync: bool) -> Figures:
    """
    Save, after a first picture that loads what is loaded once.

    :param place: an empty folder, as URL.
    :param sync: count the time until all is on the disk.
    """
    save = {"ours": ours, "bare": bare}[way]
    save(links[:1], f"{place}/first", s3, parallel)
    if sync:
        os.sync()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew
    idle, cpu, began = memory("VmRSS"), time.process_time(), time.perf_counter()
    save(links, f"{place}/pictures", s3, parallel)
    if sync:
        os.sync()
    return {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "grown": memory("VmHWM") - idle,
    }


def memory(name: str) -> float:
    """Read VmRSS, or VmHWM, its highest (Linux), in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{name}:")[1].split()[0]) * 1024 / 1e6


def ours(links: list[str], place: str, s3: str, parallel: int) -> None:
    """Save as the operator does with requests that are ready."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_dreambooth.storage import Picture, read_manifest, save_pictures, write_manifest

    folder = ObjectStoragePath(place, conn_id=CONNECTION if s3 else None)
    read_manifest(folder)
    pictures = [Picture(str(number), 0, link) for number, link in enumerate(links, FIRST_ID)]
    report = save_pictures(
        pictures, folder, max_parallel=parallel, allow_private=True, log=logging.getLogger("saving")
    )
    assert not report.failed, report.failed
    write_manifest(folder, report.saved, log=logging.getLogger("saving"))


def bare(links: list[str], place: str, s3: str, parallel: int) -> None:
    """Download with aiohttp straight into the files, or into files that boto3 uploads: nothing is checked."""
    if not s3:
        folder = Path(place.removeprefix("file://"))
        folder.mkdir(parents=True)
        asyncio.run(_download(links, folder, parallel, None))
        return
    client, prefix = s3_client(s3), place.removeprefix(f"s3://{BUCKET}/")

    def upload(path: Path) -> None:
        client.upload_file(str(path), BUCKET, f"{prefix}/{path.name}")
        path.unlink()

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(_download(links, Path(name), parallel, upload))


async def _download(links: list[str], folder: Path, parallel: int, upload: Any) -> None:
    import aiohttp

    todo = list(enumerate(links, FIRST_ID))

    async def work() -> None:
        while todo:
            number, link = todo.pop()
            path = folder / f"{number}-0.{link.rpartition('.')[2]}"
            async with session.get(link) as reply:
                reply.raise_for_status()
                with path.open("wb") as file:
                    async for chunk in reply.content.iter_chunked(1 << 16):
                        file.write(chunk)
            if upload:
                await asyncio.to_thread(upload, path)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=parallel)) as session:
        await asyncio.gather(*(work() for _ in range(parallel)))
