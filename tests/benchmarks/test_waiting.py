# SPDX-License-Identifier: Apache-2.0
"""Stalls, memory and sockets of what waits."""

from __future__ import annotations


def test_triggers_and_a_list_wait_over_a_few_sockets(table):
    rows = table("waiting")
    assert [row["waiting"] for row in rows] == ["20 triggers, each 1 s", "one trigger, 100 ids, each 1 s"]
    for row in rows:
        assert 0 < float(row["sockets"]) <= 10
        assert float(row["polls / s"]) > 0
        assert float(row["KiB each"]) >= 0
        assert all(int(stall) >= 0 for stall in row["longest stall / CPU, ms"].split(" / "))
