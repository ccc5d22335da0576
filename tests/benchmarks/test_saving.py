# SPDX-License-Identifier: Apache-2.0
"""Saving in a tiny size: each run sees by itself that every picture is at its place."""

from __future__ import annotations

import pytest


def test_both_ways_save_to_every_place(table):
    pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    rows = table("saving")
    assert [row["what"].split(" to ")[0] for row in rows] == ["6 × 0.2 MB"] * 3
    assert [row["target"] for row in rows] == ["≥ 0.8", "-", "≥ 0.8"]
    for row in rows:
        assert float(row["ours, MB/s"]) > 0
        assert float(row["bare loop, MB/s"]) > 0
