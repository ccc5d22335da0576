# SPDX-License-Identifier: Apache-2.0
"""What an id costs among few and among many."""

from __future__ import annotations


def test_each_size_is_polled_and_weighed(table):
    rows = table("growth")
    assert [row["ids"] for row in rows] == ["20", "200"]
    for row in rows:
        assert int(row["polls"]) > 0
        assert float(row["CPU ms an id and poll"]) > 0
        assert float(row["KiB an id"]) > 0
    assert rows[0]["KiB / 20 ids'"] == "1.00 (≤ 1.1)"
