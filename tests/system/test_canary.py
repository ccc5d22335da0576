# SPDX-License-Identifier: Apache-2.0
"""After runs that go well and runs that fail, the API key is nowhere in what a whole Airflow has written."""

from __future__ import annotations

from math import inf

import pytest

from tests.system.traces import masked_in, places_of, stored_triggers, written_below

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
    trigger_rows = stored_triggers(home, system.airflow.env["AIRFLOW__CORE__FERNET_KEY"])
    assert trigger_rows
    sandbox.finish(waiting)
    assert api.wait_for_run("patient", refused) == "failed"
    assert api.wait_for_run("example_dreambooth_save", saved) == "success"
    assert api.wait_for_run("example_dreambooth_gallery", generated) == "failed"  # one may have been billed
    assert {one.reply for one in sandbox.submits} >= {"queue_full_2025", "processing", "http_500"}
    log = system.airflow.task_log("patient", refused, "wait")
    assert "dreambooth_refused" in log

    pictures = {path.name: path.read_bytes() for path in destination.rglob("*") if path.is_file()}
    return {**written_below(home), **pictures, "triggers": trigger_rows.encode()}


def test_the_key_is_nowhere(system, traces):
    for key in (system.key, system.refused_key):
        assert places_of(key, traces) == []


def test_nobody_relied_on_airflow_to_mask_it(traces):
    """Airflow writes stars over secrets that it knows; there was nothing for it to do."""
    assert masked_in(traces) == []


def test_these_are_the_places(traces):
    assert "airflow.db" in traces
    assert "processes/triggerer.log" in traces
    assert any(name.startswith("logs/dag_id=patient/") for name in traces)
    assert any(name == "manifest.json" for name in traces)
    assert b"rendered_task_instance_fields" in traces["dump"]
