# SPDX-License-Identifier: Apache-2.0
"""What importing costs: the time is for a person to read, what is imported is not."""

from __future__ import annotations


def test_describing_the_provider_imports_next_to_nothing(table):
    sensor, info = table("imports")
    assert info["imports Airflow"] == "no"
    assert int(info["modules"]) < 10
    assert sensor["imports Airflow"] == "yes"
    assert float(sensor["ours, ms"]) > 0
