# SPDX-License-Identifier: Apache-2.0
"""What an Airflow leaves behind on its disk, and whether a key is in it."""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from contextlib import closing
from pathlib import Path

from cryptography.fernet import Fernet


def written_below(home: Path) -> dict[str, bytes]:
    """Every file, by its place, and what is in the database as SQL."""
    with closing(sqlite3.connect(home / "airflow.db", timeout=60)) as database:
        dump = "\n".join(database.iterdump())
    files = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    return {**files, "dump": dump.encode()}


def stored_triggers(home: Path, fernet_key: str) -> str:
    """The arguments of all triggers as Airflow stores them, decrypted if need be."""
    with closing(sqlite3.connect(home / "airflow.db", timeout=60)) as database:
        rows = [kwargs for (kwargs,) in database.execute("select kwargs from trigger")]
    fernet = Fernet(fernet_key)
    return "\n".join(row if row.startswith("{") else fernet.decrypt(row).decode() for row in rows)


def places_of(key: str, written: dict[str, bytes]) -> list[str]:
    """Where a key is, plain or in Base64."""
    forms = (key.encode(), b64encode(key.encode()).rstrip(b"="))
    return [name for name, text in written.items() if any(form in text for form in forms)]


def masked_in(written: dict[str, bytes]) -> list[str]:
    """The logs in which Airflow has written stars over a secret that it knows."""
    return [name for name, text in written.items() if name.startswith("logs/") and b"***" in text]
