# SPDX-License-Identifier: Apache-2.0
"""What `make test-cluster` looks for at the end: it finds what it should not find."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from scripts.cluster.__main__ import FAULTS
from scripts.cluster.checks import CHECKS, damaged, forms
from scripts.cluster.running import guarded

KEY = "canary0123456789abcdef"
PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()


def test_the_page_has_each_fault_and_each_check_in_its_order():
    [rows] = re.findall(r"^\| fault .*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    told = [line.split("|")[1].strip() for line in rows.splitlines()]
    done = [str(step.__doc__).strip().rstrip(".") for step in (*FAULTS, *CHECKS)]
    assert [each for each in told if not each.startswith("**")] == done


@pytest.mark.parametrize("before", ["", "1", "22", "333"])
@pytest.mark.parametrize("after", ["", "1", "22"])
def test_a_key_is_found_wherever_it_stands_in_base64(before, after):
    text = base64.b64encode(f"{before}{KEY}{after}".encode())
    assert any(form in text for form in forms(KEY))
    assert not any(form in base64.b64encode(f"{before}canary and others".encode()) for form in forms(KEY))


def test_a_key_is_found_as_it_is():
    assert any(form in f'{{"key": "{KEY}"}}'.encode() for form in forms(KEY))


def folder(*request_ids: str) -> dict[str, bytes]:
    files = {f"{each}-0.png": each.encode() for each in request_ids}
    pictures = [
        {
            "request_id": each,
            "uri": f"s3://x/{each}-0.png",
            "sha256": hashlib.sha256(each.encode()).hexdigest(),
        }
        for each in request_ids
    ]
    manifest = {"pictures": pictures, "parts": [".manifest/1.json"]}
    return {**files, ".manifest/1.json": b"{}", "manifest.json": json.dumps(manifest).encode()}


def test_a_folder_as_it_should_be():
    assert damaged(folder("1", "2"), ["2", "1"]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "request 3: 0 times"),
        ({"1-0.png": None}, "1-0.png is missing"),
        ({"1-0.png": b"other"}, "1-0.png has another digest"),
        ({"1-0 (2).png": b"1"}, "1-0 (2).png is left over"),
        ({"manifest.json": None}, "there is no manifest"),
    ],
)
def test_damage(change, said):
    files = {**folder("1", "2"), **change}
    files = {name: content for name, content in files.items() if content is not None}
    assert said in damaged(files, ["1", "2", "3"])


def test_a_request_twice_and_a_stranger():
    assert damaged(folder("1", "1", "9"), ["1"]) == ["request 1: 2 times", "request 9 is a stranger"]


def test_a_strangers_folder_is_not_emptied(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match="is not of an earlier run"):
        guarded(tmp_path, 1, lambda: 0)
    assert (tmp_path / "thesis.tex").exists()
