# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL that comes and goes."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from scripts.local_postgres import LocalPostgres


def test_it_answers_whoever_has_the_password_and_leaves_nothing():
    with LocalPostgres() as postgres:
        engine = create_engine(postgres.url)
        with engine.connect() as connection:
            data = Path(connection.execute(text("SHOW data_directory")).scalar_one())
            server = int((data / "postmaster.pid").read_text().split()[0])
        stranger = create_engine(engine.url.set(password="a guess"))
        with pytest.raises(OperationalError, match="password authentication failed"):
            stranger.connect()
        engine.dispose()
    assert not data.parent.exists()
    assert not psutil.pid_exists(server)


def test_restarted_it_has_what_it_had_and_all_connections_are_lost():
    with LocalPostgres() as postgres:
        engine = create_engine(postgres.url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept AS SELECT 1 AS one"))
        lost = engine.connect()
        postgres.restart()
        with pytest.raises(OperationalError, match=r"terminat|closed the connection"):
            lost.execute(text("SELECT 1"))
        lost.invalidate()
        lost.close()
        with engine.connect() as connection:
            assert connection.execute(text("SELECT one FROM kept")).scalar_one() == 1
        engine.dispose()
