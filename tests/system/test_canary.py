# SPDX-License-Identifier: Apache-2.0
"""After runs that go well and runs that fail, the API key is nowhere in what a whole Airflow has written."""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from contextlib import closing
from math import inf

import pytest
from cryptography.fernet import Fernet

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

FAULTS = ["http_500", "html_200", "drop", "http_429", "redirect_302", "server_error"]


@pytest.fixture(scope="module")
def traces(system, tmp_path_factory) -> dict[str, bytes]:
    """
    Everything written by runs that save pictures after many a fault, that generate, and whose key is refused.
    """
    api, sandbox, home = system.airflow.api, system.sandbox, system.airflow.home
    destination = tmp_path_factory.mktemp("pictures")
    waiting = sandbox.add(prompt="a slow one", ready_in=inf)
    ids = [waiting, *(sandbox.add(replies=[fault]) for fault in FAULTS)]
    saved = api.trigger("example_dreambooth_save", {"request_ids": ids, "destination": destination.as_uri()})
    refused = api.trigger("patient", {"request_id": waiting, "conn_id": "dreambooth_refused"})
    sandbox.script("submit", ["queue_full_2025:6", "ok", "http_500"])
    pictures = [{"prompt": "one"}, {"prompt": "two"}, {"prompt": "three"}]
    generated = api.trigger(
        "example_dreambooth_gallery", {"pictures": pictures, "destination": destination.as_uri()}
    )
    system.wait_until_deferred("example_dreambooth_save", saved, "wait_for_pictures")
    trigger_rows = stored_triggers(system)
    assert trigger_rows
    sandbox.finish(waiting)
    assert api.wait_for_run("patient", refused) == "failed"
    assert api.wait_for_run("example_dreambooth_save", saved) == "success"
    assert api.wait_for_run("example_dreambooth_gallery", generated) == "failed"  # one may have been billed
    assert {one.reply for one in sandbox.submits} >= {"queue_full_2025", "processing", "http_500"}
    log = system.airflow.task_log("patient", refused, "wait")
    assert "dreambooth_refused" in log

    with closing(sqlite3.connect(home / "airflow.db")) as database:
        dump = "\n".join(database.iterdump())
    written = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    pictures = {path.name: path.read_bytes() for path in destination.rglob("*") if path.is_file()}
    return {**written, **pictures, "dump": dump.encode(), "triggers": trigger_rows.encode()}


def stored_triggers(system) -> str:
    """The arguments of all triggers as Airflow stores them, decrypted if need be."""
    with closing(sqlite3.connect(system.airflow.home / "airflow.db")) as database:
        rows = [kwargs for (kwargs,) in database.execute("select kwargs from trigger")]
    fernet = Fernet(system.airflow.env["AIRFLOW__CORE__FERNET_KEY"])
    return "\n".join(row if row.startswith("{") else fernet.decrypt(row).decode() for row in rows)


def test_the_key_is_nowhere(system, traces):
    for key in (system.key, system.refused_key):
        forms = [key.encode(), b64encode(key.encode()).rstrip(b"=")]
        assert [name for name, text in traces.items() if any(form in text for form in forms)] == []


def test_nobody_relied_on_airflow_to_mask_it(traces):
    """Airflow writes stars over secrets that it knows; there was nothing for it to do."""
    assert [name for name, text in traces.items() if name.startswith("logs/") and b"***" in text] == []


def test_these_are_the_places(traces):
    assert "airflow.db" in traces
    assert "processes/triggerer.log" in traces
    assert any(name.startswith("logs/dag_id=patient/") for name in traces)
    assert any(name == "manifest.json" for name in traces)
    assert b"rendered_task_instance_fields" in traces["dump"]
