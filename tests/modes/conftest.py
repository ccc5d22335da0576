# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from airflow_provider_dreambooth.api import submitting as core
from airflow_provider_dreambooth.operators import submitting
from airflow_provider_dreambooth.sandbox import Sandbox
from tests.client.wire import Wire, reply
from tests.modes.generating import KEY, MODES, History, Mode


@pytest.fixture
def dreambooth(monkeypatch, capsys):
    """Start a sandbox that generates, with settings of its own; its key is in nothing that was written."""
    running = []

    def start(**settings):
        sandbox = Sandbox(key=KEY, **{"run_time": 0.2, **settings}).start()
        running.append(sandbox)
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", sandbox.connection_json)
        return sandbox

    yield start
    for sandbox in running:
        sandbox.stop()
    assert KEY not in "".join(capsys.readouterr())


@pytest.fixture
def service_of(monkeypatch):
    """Start a service that takes every submit as request 5, and gives one answer to all looks."""
    with ExitStack() as stack:

        def start(look):
            def answer(connection):
                wire.read(connection)
                submit = b"/fetch HTTP" not in wire.received[-1]
                body = {"status": "processing", "id": 5} if submit else look
                connection.sendall(reply(json.dumps(body).encode(), "Connection: close"))

            wire = stack.enter_context(Wire(answer))
            connection = {"conn_type": "dreambooth", "host": wire.url, "password": KEY}
            monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", json.dumps(connection))
            return wire

        yield start


@pytest.fixture
def hasty(monkeypatch):
    """Give the worker back for short waits too, and wait a moment instead of half a minute."""
    monkeypatch.setattr(submitting, "SHORT", 0.01)
    monkeypatch.setattr(core, "_LOAD_DELAY", 0.05)


@pytest.fixture(params=MODES.values(), ids=MODES)
def mode(request) -> Mode:
    return request.param


@pytest.fixture(params=[mode for mode in MODES.values() if mode.store], ids=["worker", "deferrable"])
def remembering(request) -> Mode:
    """Give the modes of an Airflow with a task state store."""
    return request.param


@pytest.fixture
def task(remembering) -> History:
    return History(remembering)
