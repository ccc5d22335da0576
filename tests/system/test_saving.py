# SPDX-License-Identifier: Apache-2.0
"""Mapped tasks of a real Airflow, each a process, save into one folder: nobody's entries are lost."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]


def test_mapped_tasks_share_a_folder(system, tmp_path):
    ids = [system.sandbox.add(prompt=f"number {number}") for number in range(8)]
    conf = {"ids": ids, "folder": tmp_path.as_uri()}
    run = system.airflow.api.trigger("save_mapped", conf)
    assert system.airflow.api.wait_for_run("save_mapped", run) == "success"
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert sorted(entry["request_id"] for entry in manifest["pictures"]) == ids
    assert len(manifest["parts"]) == len(list((tmp_path / ".manifest").iterdir())) == len(ids)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert all(f'href="{request_id}-0.png"' in page for request_id in ids)
    assert page.count("<img ") == len(ids)
