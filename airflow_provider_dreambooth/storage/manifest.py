# SPDX-License-Identifier: Apache-2.0
"""
The manifest: a JSON file beside the pictures that says what each of them is and where it came from.

Many tasks may save into one folder at the same time, and an object store has no lock. So each task first
writes what it has to add as a *part* of its own, which nobody changes. Then it merges all parts into the
manifest and lists them again: if another came meanwhile, it merges once more. Whoever writes last has
listed after writing, so no part is missing in the end; that of a task which was killed is taken along
by the next.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_dreambooth.exceptions import DreamboothSaveError
from airflow_provider_dreambooth.storage.contact_sheet import (
    MOST_SHOWN,
    SHEET,
    contact_sheet,
    is_contact_sheet,
)
from airflow_provider_dreambooth.storage.records import SavedPicture, utc_now
from airflow_provider_dreambooth.storage.store import Store, StoreFailed

VERSION = 1
MANIFEST = "manifest.json"
PARTS = ".manifest"
MAX_BYTES = 256 << 20
"""Of a manifest, a part or a page: larger ones are refused, as all of it is held in memory."""
_ROUNDS = 30
"""Merges after which a task leaves it to those that still add; each of them merges too."""
_LONGEST_PAUSE = 2.0
"""Seconds between two rounds, at most."""

Key = tuple[str, int]
"""Request id and index."""
Entry = Mapping[str, Any]
Holders = Mapping[str, Mapping[Key, str]]
"""By URI, which pictures an object is said to be, and the SHA-256 that each of them had."""


def check_folder(destination: ObjectStoragePath, *, overwrite: bool, with_contact_sheet: bool) -> Holders:
    """
    Look whether pictures and manifest can be saved there, before anybody waits or downloads for it.

    Returned is which picture each object is, as far as the manifest and its parts say it.

    :param overwrite: it matters to nobody what is there, and a store that lets nothing be read will do.
    :raises DreamboothSaveError: if it cannot be used, or if something else is there under a name of ours.
    """
    store = Store(destination)
    store.probe(overwrite=overwrite)
    with _reading(store) as folder:
        holders: dict[str, dict[Key, str]] = {}
        try:
            old = folder.read(MANIFEST)
            # A task that was killed has written its part, but not the manifest.
            for one in folder.entries(old, [] if overwrite else folder.parts()):
                if not one.get("sha256"):  # somebody else wrote it
                    continue
                holders.setdefault(str(one.get("uri")), {})[_key(one)] = str(one.get("sha256"))
            found = folder.bytes_of(SHEET) if with_contact_sheet else None
        except StoreFailed as failed:
            if not (failed.refused and overwrite):
                raise
            return {}
        if found is not None and not is_contact_sheet(found):
            raise _foreign(store.uri(SHEET), "it is no contact sheet of this package")
        return holders


def read_manifest(destination: ObjectStoragePath) -> list[dict[str, Any]]:
    """
    Read the entries of a folder's ``manifest.json``; none if there is no such object.

    :raises DreamboothSaveError: if the object is no manifest that this version understands, or not readable.
    """
    with _reading(Store(destination)) as folder:
        return list(folder.read(MANIFEST).get("pictures", []))


def write_manifest(
    destination: ObjectStoragePath,
    saved: Iterable[SavedPicture],
    *,
    with_contact_sheet: bool = False,
    overwrite: bool = False,
    log: logging.Logger | Any,
) -> str:
    """
    Add what was saved to the folder's ``manifest.json``, and return its URI.

    Entries of other tasks stay, also of those that write at the same time. Where request id and index are
    the same, the picture that was saved last takes the place of the other.

    :param with_contact_sheet: also write ``index.html``, which shows the newest pictures.
    :param overwrite: where the store lets nothing be read, leave the part for a task that may read it.
    :raises DreamboothSaveError: if it cannot be written, or if something else is there: that stays as it is.
    """
    saved = list(saved)
    store = Store(destination)
    with tempfile.TemporaryDirectory(prefix="dreambooth-") as scratch:
        folder, part = _Folder(store, Path(scratch)), None
        try:
            part = folder.add_part(
                [picture.to_dict() for picture in saved],
                {picture.sha256: picture.thumbnail for picture in saved if picture.thumbnail},
            )
            if folder.bring_up_to_date(with_contact_sheet=with_contact_sheet):
                return store.uri(MANIFEST)
        except StoreFailed as failed:
            if not (part and failed.refused and overwrite):
                raise DreamboothSaveError(f"The manifest is not up to date: {failed}") from None
            log.warning(
                "%s is not brought up to date: %s. Nothing is lost: the entries are in %s, and the next task "
                "that saves there and may read adds them",
                store.uri(MANIFEST),
                failed,
                store.uri(part),
            )
            return store.uri(part)
    log.warning(
        "%s may lack entries of tasks that write at the same time. Nothing is lost: they are in %s, and the "
        "next task that saves there adds them",
        store.uri(MANIFEST),
        store.uri(PARTS),
    )
    return store.uri(MANIFEST)


@contextmanager
def _reading(store: Store) -> Iterator[_Folder]:
    with tempfile.TemporaryDirectory(prefix="dreambooth-") as scratch:
        try:
            yield _Folder(store, Path(scratch))
        except StoreFailed as failed:
            raise DreamboothSaveError(f"what may be there already cannot be read: {failed}") from None


class _Folder:
    """The manifest of a destination, its parts and its contact sheet, as one task reads and writes them."""

    def __init__(self, store: Store, scratch: Path) -> None:
        self._store = store
        self._local = scratch / "object"
        self._read: dict[str, Mapping[str, Any]] = {}

    def add_part(self, entries: list[dict[str, Any]], thumbnails: Mapping[str, str]) -> str:
        """Write what one task has to add, and return the part's name."""
        written_at = utc_now()
        document = {
            "version": VERSION,
            "written_at": written_at,
            "pictures": entries,
            "thumbnails": thumbnails,
        }
        content = _encode(document)
        order = "".join(filter(str.isalnum, written_at))
        name = f"{PARTS}/{order}-{hashlib.sha256(content).hexdigest()[:12]}.json"
        self.write(name, content, "application/json")
        self._read[name] = document
        return name

    def bring_up_to_date(self, *, with_contact_sheet: bool) -> bool:
        """Merge until nobody has added anything meanwhile; False if others add without end."""
        for number in range(_ROUNDS):
            parts = self.parts()
            entries = self.merge(parts)
            if with_contact_sheet:
                self.write_contact_sheet(entries, parts)
            if self.parts() == parts:
                return True
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.05 * 2**number)))  # noqa: S311 - spreads writers, hides nothing
        return False

    def parts(self) -> list[str]:
        """Name the parts, the oldest first."""
        return sorted(name for name in self._store.names(PARTS) if name.endswith(".json"))

    def merge(self, parts: list[str]) -> list[Entry]:
        """Write the manifest with what it lacks, and return its entries."""
        old = self.read(MANIFEST)
        entries = self.entries(old, parts)
        now = utc_now()
        document = {
            "version": VERSION,
            "created_at": old.get("created_at", now),
            "updated_at": now,
            "pictures": entries,
            "parts": parts,
        }
        self.write(MANIFEST, _encode(document), "application/json")
        return entries

    def entries(self, old: Mapping[str, Any], parts: list[str]) -> list[Entry]:
        """Give the entries of a manifest and of the parts that it lacks."""
        merged: dict[Key, Entry] = {_key(one): one for one in old.get("pictures", [])}
        for name in sorted(set(parts).difference(old.get("parts", []))):
            for one in self._part(name)["pictures"]:
                key = _key(one)
                if key not in merged or merged[key].get("saved_at", "") <= one.get("saved_at", ""):
                    merged[key] = one
        return _true(merged.values())

    def write_contact_sheet(self, entries: list[Entry], parts: list[str]) -> None:
        """Show what was saved last: the newest part first, each in its own order."""
        left = {_key(one): one for one in entries}
        shown: list[Entry] = []
        thumbnails: dict[str, str] = {}
        for name in reversed(parts):
            if not left or len(shown) >= MOST_SHOWN:
                break
            part = self._part(name)
            thumbnails = {**part.get("thumbnails", {}), **thumbnails}
            shown += [left.pop(_key(one)) for one in part["pictures"] if left.get(_key(one)) == one]
        # What is in no part any more: somebody tidied up.
        shown += sorted(left.values(), key=lambda one: str(one.get("saved_at", "")), reverse=True)
        page = contact_sheet(
            shown[:MOST_SHOWN],
            thumbnails,
            total=len(entries),
            folder=self._store.uri(""),
            updated_at=utc_now(),
        )
        self.write(SHEET, page.encode(), "text/html; charset=utf-8")

    def write(self, name: str, content: bytes, content_type: str) -> None:
        """Write an object, whole or not at all."""
        try:
            self._local.write_bytes(content)
        except OSError as error:
            told = f"could not write {len(content):,} bytes to the worker's temporary folder: {error}"
            raise StoreFailed(told) from None
        self._store.put(self._local, name, content_type)

    def _part(self, name: str) -> Mapping[str, Any]:
        if name not in self._read:
            self._read[name] = self.read(name) or {"pictures": []}  # gone meanwhile: somebody tidied up
        return self._read[name]

    def read(self, name: str) -> dict[str, Any]:
        """Read a manifest or a part of one; an empty dict if it is not there."""
        content, uri = self.bytes_of(name), self._store.uri(name)
        if content is None:
            return {}
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise _foreign(uri, "it is no JSON") from None
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise _foreign(uri, f"it is no manifest of version {VERSION}")
        entries = document.get("pictures")
        if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
            raise _foreign(uri, "it has no list of pictures")
        return document

    def bytes_of(self, name: str) -> bytes | None:
        """Give an object's content; None if it is not there."""
        size = self._store.size(name)
        if size is None:
            return None
        if size > MAX_BYTES:
            raise _foreign(self._store.uri(name), f"it has {size:,} bytes")
        return self._store.get(name, self._local).read_bytes()


def _encode(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def _key(entry: Entry) -> Key:
    return entry["request_id"], entry["index"]


def _true(entries: Iterable[Entry]) -> list[Entry]:
    """Leave out entries whose object was replaced since by another picture."""
    entries = list(entries)
    by_time = sorted(entries, key=lambda one: str(one.get("saved_at", "")))
    there = {one.get("uri"): one.get("sha256") for one in by_time}
    return [one for one in entries if one.get("sha256") == there[one.get("uri")]]


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("request_id"), str)
        and isinstance(entry.get("index"), int)
    )


def _foreign(uri: str, why: str) -> DreamboothSaveError:
    return DreamboothSaveError(
        f"{uri} is there, but {why}. It is left as it is: move it away, or use another destination"
    )
