# SPDX-License-Identifier: Apache-2.0
"""
What the file systems behind the object stores must be told, and what they say when they fail.

Belongs to :mod:`~airflow_provider_dreambooth.storage.store`: together they are the one place that goes under
:class:`ObjectStoragePath`. Each store has its own words for the same few things: send an object in parts that
fit into memory, let what arrives be checked, show it in a browser.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

from airflow_provider_dreambooth.storage.uploads import PART, send_to_s3, to_azure_in_blocks

_EXTRAS = {
    **dict.fromkeys(("s3", "s3a", "s3n"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("abfs", "abfss", "az", "adl"), "azure"),
}
_GCS_IN_ONE = 5 << 20
"""Bytes below which gcsfs sends an object in one request."""
_GCS_BOUNDARY = b"\n--==0=="
"""With which gcsfs ends an object there: what comes after it in a picture would be cut off."""


class Backend:
    """
    One of the stores whose put is atomic: an object is there once all of it has arrived.

    :param protocol: of the destination.
    """

    def __init__(self, protocol: str) -> None:
        self.extra = _EXTRAS[protocol]
        """The extra of this package that brings its file system."""

    @classmethod
    def of(cls, protocol: str) -> Backend | None:
        """Give that of a protocol; None if nothing is known of it."""
        return cls(protocol) if protocol in _EXTRAS else None

    def prepare(self, fs: Any) -> None:
        """Set what can only be set for all of a file system's objects."""
        if self.extra == "azure":
            # Azure's client would hold up to 32 MiB of a download in memory.
            with contextlib.suppress(AttributeError):
                fs.service_client._config.max_single_get_size = PART  # noqa: SLF001 - no call takes it

    def probe(self, fs: Any, root: str) -> None:
        """
        Look whether the bucket can be reached; raises whatever the file system does.

        Where it can be, only what is in the folder is asked for: an account may have a right to that alone.

        :param root: bucket and folder.
        """
        bucket, folder, _ = fs.split_path(root)
        start = f"{folder}/" if folder else ""
        match self.extra:
            case "gcs":
                # gcsfs takes an empty bucket for a missing one, where an account may only see its objects.
                fs.call("GET", "b/{}/o", bucket, prefix=start, maxResults=1, json_out=True)
            case "s3":
                fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=start, MaxKeys=1)
            case _:
                fs.info(bucket)

    def put(self, fs: Any, local: Path, path: str, content_type: str, stop: Event) -> None:
        """
        Send a file; raises whatever the file system does, and then there is nothing of it.

        :param stop: set when the task is to end. On S3, which bills what is unfinished, it is then given up.
        """
        match self.extra:
            case "s3":
                with local.open("rb") as file:
                    send_to_s3(fs, file, local.stat().st_size, path, content_type, stop)
            case "azure":
                self._put_azure(fs, local, path, content_type)
            case _:
                self._put_gcs(fs, local, path, content_type)

    def get(self, fs: Any, path: str, local: Path) -> None:
        """Fetch an object into a file, one part at a time."""
        # gcsfs does so if it is given headers, whatever its version; by itself it holds many parts in memory.
        options: dict[str, Any] = {"headers": {}} if self.extra == "gcs" else {"max_concurrency": 1}
        fs.get_file(path, str(local), **options)

    @staticmethod
    def _put_azure(fs: Any, local: Path, path: str, content_type: str) -> None:
        from azure.storage.blob import ContentSettings  # type: ignore[import-not-found,unused-ignore]
        from fsspec.asyn import sync

        settings = ContentSettings(content_type=content_type)
        if local.stat().st_size > PART:
            with local.open("rb") as file:
                sync(fs.loop, to_azure_in_blocks, fs, file, path, settings)
        else:  # in one request: Azure's client cuts only what is larger
            options = {"max_concurrency": 1, "validate_content": True}
            fs.put_file(str(local), path, content_settings=settings, **options)

    @staticmethod
    def _put_gcs(fs: Any, local: Path, path: str, content_type: str) -> None:
        if local.stat().st_size < _GCS_IN_ONE and _GCS_BOUNDARY in local.read_bytes():
            raise ValueError("gcsfs would cut this picture off: it contains the boundary between its parts")
        try:
            options = {"content_type": content_type, "chunksize": PART, "consistency": "md5"}
            fs.put_file(str(local), path, **options)
        except Exception as error:
            if type(error).__name__ == "ChecksumError":  # told once the object is there
                fs.rm_file(path)
            raise


def refuses(error: BaseException) -> bool:
    """Whether a store does not know or not allow the account, and so will refuse other objects too."""
    return any(
        isinstance(one, PermissionError)
        or str(getattr(one, "status_code", None) or getattr(one, "code", None)) in ("401", "403")
        or (isinstance(one, OSError) and str(one).startswith("Forbidden"))  # gcsfs
        for one in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
