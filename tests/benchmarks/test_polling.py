# SPDX-License-Identifier: Apache-2.0
"""What a poll costs, over HTTPS with a certificate of the benchmark's own."""

from __future__ import annotations


def test_all_ways_poll_as_often_as_they_should(table):
    rows = {row["way"]: row for row in table("polling")}
    assert len(rows) == 4
    for way, row in rows.items():
        assert float(row["CPU s / 1,000 polls"]) > 0, way
        assert 2 < float(row["polls / s"]) < 40, way  # 20, on a machine with time to spare
        assert float(row["sockets"]) <= 10, way
    assert rows["bare aiohttp loop"]["/ bare"] == ""
    assert "(≤ 0.25)" in rows["10 triggers of ours"]["/ `HttpSensorTrigger`"]
