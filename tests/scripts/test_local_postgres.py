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
