# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pendulum
import pytest

from airflow_provider_dreambooth.exceptions import DreamboothSaveError
from airflow_provider_dreambooth.storage import read_manifest, write_manifest
from tests.storage.conftest import tree


def entry(request_id: str, index: int, **more):
    return {"request_id": request_id, "index": index, "uri": f"s3://b/{request_id}-{index}.png", **more}


def test_a_manifest_is_written_and_read(destination, folder):
    before = pendulum.now("UTC")
    uri = write_manifest(destination, "manifest.json", [entry("1", 0), entry("ü", 1)])
    assert uri == f"file://{folder}/manifest.json"
    assert tree(folder) == ["manifest.json"]
    document = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert document["version"] == 1
    assert document["pictures"] == [entry("1", 0), entry("ü", 1)]
    created_at = pendulum.parse(document["created_at"])
    assert before <= created_at <= pendulum.now("UTC")
    assert created_at.utcoffset().total_seconds() == 0
    assert read_manifest(destination, "manifest.json") == document["pictures"]
    assert read_manifest(destination, "other.json") == []


def test_entries_are_merged_and_the_newest_wins(destination, folder):
    write_manifest(destination, "m/1.json", [entry("1", 0), entry("1", 1)])
    first = json.loads((folder / "m/1.json").read_text())
    write_manifest(destination, "m/1.json", [entry("2", 0), entry("1", 0, bytes=5)])
    second = json.loads((folder / "m/1.json").read_text())
    assert second["pictures"] == [entry("1", 0, bytes=5), entry("1", 1), entry("2", 0)]
    assert second["created_at"] == first["created_at"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON"),
        ('{"version": 1, "pictures": [', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("\xff\xfe", "no"),
        ("[]", "no manifest of version 1"),
        ('{"version": 2, "pictures": []}', "no manifest of version 1"),
        ('{"version": 1, "pictures": {}}', "no list of pictures"),
        ('{"version": 1, "pictures": [{"index": 0}]}', "no list of pictures"),
        ('{"name": "somebody else\'s"}', "no manifest of version 1"),
    ],
)
def test_what_is_no_manifest_is_left_alone(destination, folder, text, told):
    folder.mkdir()
    path = folder / "manifest.json"
    path.write_bytes(text.encode("latin-1"))
    for act in (
        lambda: read_manifest(destination, "manifest.json"),
        lambda: write_manifest(destination, "manifest.json", [entry("1", 0)]),
    ):
        with pytest.raises(DreamboothSaveError, match=told) as caught:
            act()
        assert f"file://{folder}/manifest.json is there" in str(caught.value)
        assert "left as it is" in str(caught.value)
    assert path.read_bytes() == text.encode("latin-1")
    assert tree(folder) == ["manifest.json"]


@pytest.mark.parametrize("name", ["", "../m.json", "/m.json", "a//m.json", "m\n.json"])
def test_a_name_outside_the_destination(destination, folder, name):
    with pytest.raises(ValueError, match="the manifest's name"):
        write_manifest(destination, name, [])
    assert not folder.exists()


def test_a_manifest_that_cannot_be_written(destination, folder):
    (folder / "manifest.json").mkdir(parents=True)
    with pytest.raises(DreamboothSaveError, match="the manifest is not written: could not write"):
        write_manifest(destination, "manifest.json", [entry("1", 0)])
    assert tree(folder) == []
