# SPDX-License-Identifier: Apache-2.0
"""The manifest: a JSON file beside the pictures that says what each of them is and where it came from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_dreambooth.exceptions import DreamboothSaveError
from airflow_provider_dreambooth.storage.names import check_name
from airflow_provider_dreambooth.storage.store import Store, StoreFailed

VERSION = 1
MAX_BYTES = 256 << 20


def read_manifest(destination: ObjectStoragePath, name: str) -> list[dict[str, Any]]:
    """
    Read the entries of a manifest; none if there is no such object.

    Calling it before the pictures are saved finds a file that :func:`write_manifest` would refuse to replace.

    :raises ValueError: if the name is none, or lies outside the destination.
    :raises DreamboothSaveError: if the object is no manifest that this version understands, or not readable.
    """
    check_name(name, "the manifest's name")
    store = Store(destination)
    with tempfile.TemporaryDirectory(prefix="dreambooth-") as folder:
        entries, _ = _read(store, name, Path(folder, "old"))
        return entries


def write_manifest(destination: ObjectStoragePath, name: str, entries: Iterable[Mapping[str, Any]]) -> str:
    """
    Write a manifest, whole or not at all, and return its URI.

    Entries of an existing one stay; where request id and index are the same, the new entry takes the
    place of the old. Two tasks that write the same manifest at the same time lose entries: give each its
    own name.

    :param name: relative to the destination, such as ``manifest.json``.
    :param entries: a dict a picture, with at least ``request_id`` and ``index``.
    :raises ValueError: if the name is none, or lies outside the destination.
    :raises DreamboothSaveError: if it cannot be written, or if something else is there: that stays as it is.
    """
    check_name(name, "the manifest's name")
    store = Store(destination)
    with tempfile.TemporaryDirectory(prefix="dreambooth-") as folder:
        local = Path(folder, "manifest.json")
        found, created_at = _read(store, name, local)
        merged = {(entry["request_id"], entry["index"]): entry for entry in found}
        merged.update({(entry["request_id"], entry["index"]): dict(entry) for entry in entries})
        now = pendulum.now("UTC").to_iso8601_string()
        document = {
            "version": VERSION,
            "created_at": created_at or now,
            "updated_at": now,
            "pictures": list(merged.values()),
        }
        local.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        try:
            store.put(local, name, "application/json")
        except StoreFailed as failed:
            raise DreamboothSaveError(f"the manifest is not written: {failed}") from None
    return store.uri(name)


def _read(store: Store, name: str, local: Path) -> tuple[list[dict[str, Any]], str | None]:
    try:
        size = store.size(name)
        if size is None:
            return [], None
        if size > MAX_BYTES:
            raise _foreign(store.uri(name), f"it has {size:,} bytes")
        local = store.get(name, local)
    except StoreFailed as failed:
        raise DreamboothSaveError(f"the manifest that may be there cannot be read: {failed}") from None
    try:
        document = json.loads(local.read_bytes())
    except (ValueError, RecursionError):
        raise _foreign(store.uri(name), "it is no JSON") from None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise _foreign(store.uri(name), f"it is no manifest of version {VERSION}")
    entries = document.get("pictures")
    if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
        raise _foreign(store.uri(name), "it has no list of pictures")
    created_at = document.get("created_at")
    return entries, created_at if isinstance(created_at, str) else None


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("request_id"), str)
        and isinstance(entry.get("index"), int)
    )


def _foreign(uri: str, why: str) -> DreamboothSaveError:
    return DreamboothSaveError(
        f"{uri} is there, but {why}. It is left as it is: move it away, or use another destination."
    )
