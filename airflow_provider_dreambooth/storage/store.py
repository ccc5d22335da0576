# SPDX-License-Identifier: Apache-2.0
"""
A destination where objects are whole or absent.

This and :mod:`~airflow_provider_dreambooth.storage.backends` are the one place that goes under
:class:`ObjectStoragePath`, to the file system of fsspec behind it.
Writing through ``path.open("wb")`` leaves a truncated object when an exception passes; a whole local file is
handed over instead, in one call after which S3, Google Cloud Storage and Azure show the object only if all
of it arrived. Elsewhere it is written beside its final name and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import secrets
import shutil
from pathlib import Path
from threading import Event

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_dreambooth.exceptions import DreamboothSaveError
from airflow_provider_dreambooth.storage.backends import Backend, refuses
from airflow_provider_dreambooth.storage.links import without_queries


class StoreFailed(Exception):
    """The store did not do as asked. ``refused``: nor will it for another object."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class FolderFull(StoreFailed):
    """There is no room left on this machine, whatever the store has."""


class Store:
    """
    The objects below a destination, by their names relative to it.

    :param destination: the folder; of its path only protocol, connection id and place are used.
    :raises DreamboothSaveError: if there is no file system for it.
    """

    def __init__(self, destination: ObjectStoragePath) -> None:
        self.protocol = destination.protocol or "file"
        self._root = destination.path.rstrip("/")
        # Airflow 2.11 keeps the id among the options of the file system.
        self._conn_id = getattr(destination, "conn_id", None) or destination.storage_options.get("conn_id")
        self._local = self.protocol in ("file", "local")
        self._backend = Backend.of(self.protocol)
        try:
            self._fs = destination.fs
            if self._backend:
                self._backend.prepare(self._fs)
        except Exception as error:  # noqa: BLE001 - whatever a provider raises: the library or the connection lacks
            raise self._unusable(error) from None

    @property
    def _bucket(self) -> str:
        if self._backend:  # which knows more spellings: that of an access point on S3 holds a slash
            return str(self._fs.split_path(self._root)[0])
        return self._root.lstrip("/").partition("/")[0] or self._root

    @property
    def lists(self) -> bool:
        """Whether :meth:`sizes` takes one request."""
        return self._backend is not None

    @property
    def scratch(self) -> str | None:
        """The folder for files on their way: in a destination on disk, where a rename ends it; else any."""
        return self._root or "/" if self._local else None

    def uri(self, name: str) -> str:
        """Give an object's address, without the connection id that ``str(path)`` puts into it."""
        scheme = "file" if self._local else self.protocol
        return f"{scheme}://{self._root}/{name}".rstrip("/")

    def probe(self, *, overwrite: bool) -> None:
        """
        Look whether the destination can be used, before anything is downloaded for it.

        :param overwrite: nothing needs to be read there, so a store that lets nothing be read will do.
        :raises DreamboothSaveError: naming the destination and ``storage_conn_id``.
        """
        try:
            self._fs.invalidate_cache()  # the file system outlives tasks: forget what an earlier one listed
            if self._local:
                probe = Path(self._beside(self._path("probe")))
                probe.parent.mkdir(parents=True, exist_ok=True)
                probe.touch(exist_ok=False)
                probe.unlink()
            elif self._backend:
                self._backend.probe(self._fs, self._root)
            else:
                self._fs.info(self._bucket)
        except FileNotFoundError as error:
            if self._local:
                raise self._unusable(error) from None
            raise self._unusable(f"there is no bucket {self._bucket!r}") from None
        except Exception as error:  # noqa: BLE001 - every store has its own
            if self._local or not overwrite or not refuses(error):
                raise self._unusable(error) from None

    def size(self, name: str) -> int | None:
        """Give an object's bytes; None if there is none of this name."""
        path = self._path(name)
        try:
            self._fs.invalidate_cache(posixpath.dirname(path))  # others write there too
            if self._backend:  # who may not list the whole bucket is not told that an object is missing
                return self.sizes(name).get(name)
            found = self._fs.info(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - every store has its own
            raise self._failed("look for", name, error) from None
        return int(found["size"] or 0) if found["type"] == "file" else None

    def sizes(self, start: str) -> dict[str, int]:
        """Give the bytes of each object whose name begins so, by name."""
        try:
            found = self._fs.find(self._root, prefix=start, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # noqa: BLE001 - every store has its own
            raise self._failed("look for", start, error) from None
        folder = self._root.strip("/") + "/"
        return {path.strip("/").removeprefix(folder): int(info["size"] or 0) for path, info in found.items()}

    def names(self, folder: str) -> list[str]:
        """Name the objects that are in a folder now, relative to the destination."""
        path = self._path(folder)
        try:
            self._fs.invalidate_cache(path)
            if self._backend:  # s3fs lists the folder above if this one is empty
                return list(self.sizes(f"{folder}/"))
            found = self._fs.ls(path, detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:  # noqa: BLE001 - every store has its own
            raise self._failed("list", folder, error) from None
        return [f"{folder}/{posixpath.basename(one)}" for one in found]

    def get(self, name: str, local: Path) -> Path:
        """
        Give an object as a local file: a copy, or itself if it is one.

        :param local: where to put the copy.
        :raises FolderFull: if there is no room for it here.
        :raises StoreFailed: if that fails.
        """
        try:
            if self._local:
                local = Path(self._path(name))
                local.open("rb").close()
            elif self._backend:
                self._backend.get(self._fs, self._path(name), local)
            else:
                self._fs.get_file(self._path(name), str(local))
        except Exception as error:  # noqa: BLE001 - every store has its own
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                told = (
                    f"could not read {self.uri(name)}: the worker's temporary folder {local.parent} is full"
                )
                raise FolderFull(told) from None
            raise self._failed("read", name, error) from None
        return local

    def put(self, local: Path, name: str, content_type: str, stop: Event | None = None) -> None:
        """
        Bring a local file to where it appears only when whole, in place of what was there.

        :param local: best in :attr:`scratch`; it may be gone afterwards.
        :param content_type: also told to the store, so that a browser shows the object.
        :param stop: set when the task is to end: an upload that would leave something is then given up.
        :raises StoreFailed: if that fails; nothing new is then under the name.
        """
        path, size = self._path(name), local.stat().st_size
        try:
            if self._local:
                self._put_local(local, Path(path))
            elif self._backend:
                self._backend.put(self._fs, local, path, content_type, stop or Event())
            else:
                self._put_and_rename(local, path)
        except Exception as error:  # noqa: BLE001 - every store has its own
            raise self._failed(f"write {size:,} bytes to", name, error) from None

    def delete(self, name: str) -> None:
        """
        Delete an object that something newer replaces.

        :raises StoreFailed: if that fails.
        """
        try:
            self._fs.rm_file(self._path(name))
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - every store has its own
            reason = str(self._failed("delete", name, error))
            raise StoreFailed(f"{reason}; it is older than what is saved now under the same name") from None

    def _put_local(self, local: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(self._beside(str(path)))
        try:
            shutil.move(local, beside)  # a rename, but for a folder that is another disk
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):  # it must not hide what went wrong
                beside.unlink(missing_ok=True)
            raise

    def _put_and_rename(self, local: Path, path: str) -> None:
        beside = self._beside(path)
        try:
            self._fs.makedirs(posixpath.split(path)[0], exist_ok=True)
            self._fs.put_file(str(local), beside)
            self._fs.mv(beside, path)
        except BaseException:
            with contextlib.suppress(Exception):
                self._fs.rm_file(beside)
            raise

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @staticmethod
    def _beside(path: str) -> str:
        folder, name = posixpath.split(path)
        return posixpath.join(folder, f".{name}.{secrets.token_hex(4)}.part")

    def _failed(self, what: str, name: str, error: Exception) -> StoreFailed:
        refused = refuses(error) or (
            isinstance(error, FileNotFoundError) and what.startswith("write") and not self._local
        )
        hint = ""
        if refused and what == "look for":
            hint = "; allow reading and listing there, or set overwrite=True to save without looking"
        return StoreFailed(f"could not {what} {self.uri(name)}: {_told(error)}{hint}", refused=refused)

    def _unusable(self, error: Exception | str) -> DreamboothSaveError:
        by = f"storage_conn_id {self._conn_id!r}" if self._conn_id else "no storage_conn_id"
        why = error if isinstance(error, str) else _told(error)
        if self._backend and "No filesystem registered" in why:
            why += f"; pip install 'airflow-provider-dreambooth[{self._backend.extra}]' brings it"
        return DreamboothSaveError(f"destination {self.uri('')} cannot be used with {by}: {why}")


def _told(error: Exception) -> str:
    text = " ".join(without_queries(str(error)).split())[:300]
    return f"{type(error).__name__}: {text}"
