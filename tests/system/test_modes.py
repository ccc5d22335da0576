# SPDX-License-Identifier: Apache-2.0
"""The three modes in a real Airflow: the same results from the same number of requests."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

REPLIES = {"ready": (), "later": ("processing", "http_500", "processing"), "new": ("not_found", "processing")}


def test_each_mode_asks_as_often_and_finds_the_same(system):
    modes = ("poke", "reschedule", "deferrable")
    ids = {
        mode: {name: system.sandbox.add(prompt=name, replies=replies) for name, replies in REPLIES.items()}
        for mode in modes
    }
    run = system.airflow.api.trigger(
        "each_mode", {"ids": {mode: list(named.values()) for mode, named in ids.items()}}
    )
    assert system.airflow.api.wait_for_run("each_mode", run) == "success"

    for mode in modes:
        results = system.airflow.api.xcom("each_mode", run, mode)
        assert [result["request_id"] for result in results] == list(ids[mode].values())
    asked = {
        mode: {name: system.sandbox.fetches(request_id) for name, request_id in named.items()}
        for mode, named in ids.items()
    }
    assert asked == {mode: {"ready": 1, "later": 4, "new": 3} for mode in modes}
