# SPDX-License-Identifier: Apache-2.0
"""What the page on reliability says of the cluster's settings, beside the settings."""

from __future__ import annotations

import re
from pathlib import Path

from airflow.configuration import conf

from scripts.local_cluster import SETTINGS

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
OWN = {"triggerer job_heartbeat_sec", "workers min_heartbeat_interval"}  # not among SETTINGS
WAITS = {
    name.lower().replace("__", " "): value
    for name, value in SETTINGS.items()
    if "EXECUTOR" not in name and "PARALLELISM" not in name and "CONCURRENCY" not in name
}


def told() -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| `\[(\w+)\] (\w+)` \| ([\d,]+) s \| ([\d,]+) s \|", PAGE, re.MULTILINE)
    return {f"{section} {name}": (here, own) for section, name, here, own in rows}


def test_the_page_has_each_setting_that_is_shortened():
    found = {name: int(here) for name, (here, _) in told().items() if name not in OWN}
    assert found == WAITS


def test_the_page_has_airflows_own_values():
    for name, (_, own) in told().items():
        section, option = name.split()
        if section == "celery_broker_transport_options":
            continue  # Celery's provider puts it in where it is not set
        default = conf.get_default_value(section, option)
        assert float(own.replace(",", "")) == float(default), name
