# SPDX-License-Identifier: Apache-2.0
"""
Uploads that others can break off or get in the way of: to S3, and in blocks to Azure.

Belongs to :mod:`~airflow_provider_dreambooth.storage.backends`. s3fs gives up an upload's parts after errors,
but not when it is broken off; Azure's client names blocks by their offset, so that two writers of one blob
would mix theirs. The coroutines run on the loop of the file system; who calls them is a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable
from concurrent.futures import wait
from threading import Event
from typing import Any, BinaryIO

PART = 8 << 20
"""Bytes a part: what is held in memory at a time, where 50 MiB would be a whole picture."""
PATIENCE = 300.0
"""Seconds that a request to S3 may take, and as many more as its bytes take at the slowest speed."""
SLOWEST = 50_000
"""Bytes a second."""
_HEARTBEAT = 0.5
"""Seconds after which it is noticed at the latest that the task is to end."""
_FAREWELL = 5.0
"""Seconds that a store may take to give an upload up."""
_BLOCK = 4 << 20
_TRIES = 3


def send_to_s3(fs: Any, file: BinaryIO, size: int, path: str, content_type: str, stop: Event) -> None:
    """
    Do :func:`to_s3` from a thread; a signal that ends what the thread does ends the upload too.

    Never from within ``fs.loop``: that would wait for itself.

    :param stop: as there; set here if a signal comes.
    """
    call = asyncio.run_coroutine_threadsafe(to_s3(fs, file, size, path, content_type, stop), fs.loop)
    try:
        while not call.done():  # not for ever: a signal that comes just before Python blocks does not wake it
            wait([call], timeout=_HEARTBEAT)
    except BaseException:
        stop.set()
        wait([call], timeout=_HEARTBEAT + _FAREWELL)
        raise
    call.result()


async def to_s3(fs: Any, file: BinaryIO, size: int, path: str, content_type: str, stop: Event) -> None:
    """
    Send a file to S3; botocore adds a checksum to each request by itself.

    :param fs: of s3fs, whose retries and settings hold for each request.
    :param stop: set when the task is to end: the upload is then given up.
    :raises TimeoutError: if the store takes no more bytes; aiohttp would wait for ever.
    :raises InterruptedError: if it was stopped.
    """
    ask = fs._call_s3  # noqa: SLF001 - with its retries; s3fs has no public coroutine for it
    bucket, key, _ = fs.split_path(path)
    place = {"Bucket": bucket, "Key": key}
    if size < 2 * PART:
        body = file.read()
        await _within(ask("put_object", **place, Body=body, ContentType=content_type), len(body), stop)
        return
    made = await _within(ask("create_multipart_upload", **place, ContentType=content_type), 0, stop)
    place["UploadId"] = made["UploadId"]
    try:
        parts: list[dict[str, Any]] = []
        while body := file.read(PART):
            number = len(parts) + 1
            call = ask("upload_part", **place, PartNumber=number, Body=body)
            answer = await _within(call, len(body), stop)
            # Not the checksums of the answer: S3 knows them, and takes them amiss where the upload was
            # created without naming their algorithm.
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        call = ask("complete_multipart_upload", **place, MultipartUpload={"Parts": parts})
        await _within(call, 0, stop)
    except BaseException:
        with contextlib.suppress(Exception):  # this one alone: others may send the same object
            await asyncio.wait_for(ask("abort_multipart_upload", **place), _FAREWELL)
        raise


async def _within(call: Awaitable[Any], size: int, stop: Event) -> Any:
    seconds = PATIENCE + size / SLOWEST
    until = time.monotonic() + seconds
    task = asyncio.ensure_future(call)
    try:
        while not (await asyncio.wait({task}, timeout=_HEARTBEAT))[0]:
            if stop.is_set():
                raise InterruptedError("the task is to end")
            if time.monotonic() > until:
                raise TimeoutError(f"the store did not take it within {seconds:.0f} seconds")
        return task.result()
    finally:
        task.cancel()


async def to_azure_in_blocks(fs: Any, file: BinaryIO, path: str, settings: Any) -> None:
    """
    Send a file to Azure in blocks that no other writer of the same blob has.

    :param fs: of adlfs.
    :param settings: the content's.
    """
    from azure.core.exceptions import (  # type: ignore[import-not-found,unused-ignore]
        HttpResponseError,
        ResourceNotFoundError,
    )

    options = fs._timeout_kwargs  # noqa: SLF001 - the user's, which adlfs gives to each call
    container, name, _ = fs.split_path(path)
    async with fs.service_client.get_blob_client(container, name) as blob:
        for left in reversed(range(_TRIES)):
            try:
                blocks = await _stage(blob, file, options)
                await blob.commit_block_list(
                    blocks,
                    content_settings=settings,
                    metadata={"is_directory": "false"},  # as adlfs has it
                    **options,
                )
            except ResourceNotFoundError as error:
                raise FileNotFoundError(f"there is no container {container!r}") from error
            except HttpResponseError as error:
                # Another writer's commit throws away the blocks that are not yet committed.
                if getattr(error, "error_code", None) != "InvalidBlockList" or not left:
                    raise
            else:
                return


async def _stage(blob: Any, file: BinaryIO, options: dict[str, Any]) -> list[Any]:
    from azure.storage.blob import BlobBlock  # type: ignore[import-not-found,unused-ignore]

    blocks = []
    file.seek(0)
    while data := file.read(_BLOCK):
        # 48 characters, as Azure's client has: all ids of one blob must have one length.
        blocks.append(BlobBlock(f"{secrets.randbits(128):048d}"))
        await blob.stage_block(blocks[-1].id, data, length=len(data), validate_content=True, **options)
    return blocks
