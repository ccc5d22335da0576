# SPDX-License-Identifier: Apache-2.0
"""Tasks that end in the triggerer of a real Airflow, and one that a worker has to end."""

from __future__ import annotations

from math import inf

import pytest

from tests.airflow_versions import needs_airflow

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(400),
    needs_airflow(3, 3, "before that a worker ends them"),
]

ON_WORKER = "Worker startup parse complete"


def test_a_task_ends_in_the_triggerer_where_nothing_is_lost_by_it(system):
    api, sandbox = system.airflow.api, system.sandbox
    names = ("one", "two", "with_outlets")
    ids = {name: sandbox.add(prompt=name, ready_in=inf) for name in names}
    mapped = [ids["one"], ids["two"]]
    run = api.trigger("ending", {"ids": mapped, "with_outlets": ids["with_outlets"]})
    for task, map_index in (("wait", 0), ("wait", 1), ("with_outlets", -1)):
        system.wait_until_deferred("ending", run, task, map_index)
    for request_id in ids.values():
        sandbox.finish(request_id)
    assert api.wait_for_run("ending", run) == "success"

    tasks = {(each["task_id"], each["map_index"]): each for each in api.task_instances("ending", run)}
    assert [tasks["wait", index]["rendered_map_index"] for index in (0, 1)] == mapped
    assert all(tasks["wait", index]["duration"] > 0 for index in (0, 1))
    results = [api.xcom("ending", run, "wait", map_index=index) for index in (0, 1)]
    assert [(one["request_id"], one["meta"]["prompt"]) for one in results] == [(rid, rid) for rid in mapped]
    assert api.xcom("ending", run, "collect") == results

    log = system.airflow.task_log("ending", run, "wait")
    assert log.count(ON_WORKER) == 2
    assert log.count("ended in the triggerer") == 2
    log = system.airflow.task_log("ending", run, "with_outlets")
    assert "will end on a worker, not in the triggerer: it has outlets" in log
    assert log.count(ON_WORKER) > 1
    assert "ended in the triggerer" not in log
    events = api.get("assets/events", source_dag_id="ending")["asset_events"]
    assert [event["source_task_id"] for event in events] == ["with_outlets"]
