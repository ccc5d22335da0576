# SPDX-License-Identifier: Apache-2.0
"""On a busy machine one process of Airflow holds its SQLite for longer than another would wait by itself."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

LOCKED = 7  # seconds; SQLite's own patience ends after five

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]


def test_it_is_waited_for(system):
    path = system.airflow.home / "airflow.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as database:
        database.execute("pragma busy_timeout = 60000")
        database.execute("begin immediate")
        going = threading.Event()

        def end() -> None:
            going.set()
            database.rollback()

        timer = threading.Timer(LOCKED, end)
        timer.start()
        try:
            system.airflow.api.set_variable("waited", "long")
            assert going.is_set()
        finally:
            timer.join()
