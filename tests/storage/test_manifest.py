# SPDX-License-Identifier: Apache-2.0
"""The manifest: what it says, that no writer loses another's entries, and that it fits its schema."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pendulum
import pytest

from airflow_provider_dreambooth.exceptions import DreamboothSaveError
from airflow_provider_dreambooth.storage import SavedPicture, check_folder, read_manifest, write_manifest
from airflow_provider_dreambooth.storage.manifest import MANIFEST, PARTS
from airflow_provider_dreambooth.storage.records import utc_now
from tests.storage.conftest import tree

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(
    files("airflow_provider_dreambooth.storage").joinpath("manifest.schema.json").read_text(encoding="utf-8")
)


def saved(request_id: str, index: int, **more) -> SavedPicture:
    known = {
        "source_url": "https://cdn.example.com/0.png",
        "uri": f"s3://b/{request_id}-{index}.png",
        "bytes": 7,
        "sha256": f"{index:064x}",
        "content_type": "image/png",
        "width": 48,
        "height": 32,
        "saved_at": utc_now(),
    }
    return SavedPicture(request_id, index, **known | more)


def keys(entries) -> list[tuple[str, int]]:
    return sorted((entry["request_id"], entry["index"]) for entry in entries)


def parts(folder: Path) -> list[str]:
    return [name for name in tree(folder) if name.startswith(PARTS)]


def test_a_manifest_is_written_and_read(destination, folder, log):
    before = pendulum.now("UTC")
    pictures = [saved("1", 0), saved("ü", 1, model="midjourney", seed=5, prompt="a <fox>")]
    uri = write_manifest(destination, pictures, log=log)
    assert uri == f"file://{folder}/manifest.json"
    document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert document["pictures"] == [picture.to_dict() for picture in pictures]
    assert document["parts"] == parts(folder)
    assert tree(folder) == [*parts(folder), MANIFEST]
    created_at = pendulum.parse(document["created_at"])
    assert before <= created_at <= pendulum.now("UTC")
    assert created_at.utcoffset().total_seconds() == 0
    assert read_manifest(destination) == document["pictures"]


def test_there_is_none_yet(destination):
    assert read_manifest(destination) == []


def test_entries_are_merged_and_the_last_saved_wins(destination, folder, log):
    late = saved("1", 0, bytes=3)
    write_manifest(destination, [saved("1", 0), saved("1", 1)], log=log)
    first = json.loads((folder / MANIFEST).read_text())
    write_manifest(destination, [saved("2", 0), saved("1", 0, bytes=5)], log=log)
    write_manifest(destination, [late], log=log)  # saved before the others, written down after them
    second = json.loads((folder / MANIFEST).read_text())
    assert keys(second["pictures"]) == [("1", 0), ("1", 1), ("2", 0)]
    assert second["pictures"][0]["bytes"] == 5
    assert second["created_at"] == first["created_at"]
    assert len(second["parts"]) == 3


def test_an_object_that_was_replaced_by_another_picture_has_one_entry(destination, folder, log):
    place, sha256 = "s3://b/latest.png", "a" * 64
    write_manifest(destination, [saved("1", 0, uri=place), saved("9", 0)], log=log)
    write_manifest(destination, [saved("2", 0, uri=place, sha256=sha256)], log=log)
    assert keys(read_manifest(destination)) == [("2", 0), ("9", 0)]
    write_manifest(destination, [saved("3", 0, uri=place, sha256=sha256)], log=log)  # the same bytes
    assert keys(read_manifest(destination)) == [("2", 0), ("3", 0), ("9", 0)]
    holders = check_folder(destination, overwrite=False, with_contact_sheet=False)
    assert holders[place] == {("2", 0): sha256, ("3", 0): sha256}


def test_the_part_of_a_writer_that_was_killed_is_taken_along(destination, folder, log):
    write_manifest(destination, [saved("1", 0)], log=log)
    (folder / MANIFEST).unlink()  # as if it had been killed before
    write_manifest(destination, [saved("2", 0)], log=log)
    assert keys(read_manifest(destination)) == [("1", 0), ("2", 0)]


def test_parts_that_were_tidied_away_stay_in_the_manifest(destination, folder, log):
    write_manifest(destination, [saved("1", 0)], log=log)
    for part in parts(folder):
        (folder / part).unlink()
    write_manifest(destination, [saved("2", 0)], log=log)
    assert keys(read_manifest(destination)) == [("1", 0), ("2", 0)]
    assert json.loads((folder / MANIFEST).read_text())["parts"] == parts(folder)


WRITER = """
import logging, sys
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_dreambooth.storage import write_manifest
from tests.storage.test_manifest import saved

destination = ObjectStoragePath(sys.argv[1], conn_id=sys.argv[2] or None)
print("ready", flush=True)
sys.stdin.readline()
for number in range(5):
    write_manifest(destination, [saved(f"{sys.argv[3]}-{number}", 0)], log=logging.getLogger())
"""


def written_at_once(url: str, conn_id: str = "", writers: int = 6) -> list[tuple[str, int]]:
    """Let processes write to one folder at the same time; the keys that must be there in the end."""
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WRITER, url, conn_id, str(number)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(writers)
    ]
    for writer in running:
        while writer.stdout.readline().strip() not in ("ready", ""):
            pass
    for writer in running:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in running:
        _, errors = writer.communicate(timeout=100)
        assert writer.returncode == 0, errors
    return sorted((f"{writer}-{number}", 0) for writer in range(writers) for number in range(5))


def test_writers_at_the_same_time_lose_nothing_of_each_other(destination, folder):
    expected = written_at_once(f"file://{folder}")
    assert keys(read_manifest(destination)) == expected
    jsonschema.validate(json.loads((folder / MANIFEST).read_text()), SCHEMA)


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
def test_what_is_no_manifest_is_left_alone(destination, folder, text, told, log):
    folder.mkdir()
    path = folder / MANIFEST
    path.write_bytes(text.encode("latin-1"))
    for act in (
        lambda: read_manifest(destination),
        lambda: write_manifest(destination, [saved("1", 0)], log=log),
    ):
        with pytest.raises(DreamboothSaveError, match=told) as caught:
            act()
        assert f"file://{folder}/manifest.json is there" in str(caught.value)
        assert "left as it is" in str(caught.value)
    assert path.read_bytes() == text.encode("latin-1")
    path.unlink()  # as the error advises; what could not be written down then is not lost
    write_manifest(destination, [saved("2", 0)], log=log)
    assert keys(read_manifest(destination)) == [("1", 0), ("2", 0)]


def test_a_manifest_that_cannot_be_written(destination, folder, log):
    (folder / MANIFEST).mkdir(parents=True)
    with pytest.raises(DreamboothSaveError, match="The manifest is not up to date: could not write"):
        write_manifest(destination, [saved("1", 0)], log=log)
    assert len(parts(folder)) == 1


def test_a_full_temporary_folder_is_told(destination, folder, log):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(DreamboothSaveError, match="bytes to the worker's temporary folder"):
            write_manifest(destination, [saved("1", 0, prompt="x" * (1 << 20))], log=log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert tree(folder) == []


def everything() -> dict:
    picture = saved("1", 0, model="m", seed=-1, prompt="p", nsfw_content_detected=True)
    document = {
        "version": 1,
        "created_at": utc_now(),
        "updated_at": utc_now(),
        "pictures": [picture.to_dict(), saved("a-b", 3).to_dict()],
        "parts": [],
    }
    return json.loads(json.dumps(document))


def test_the_schema_describes_it():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(everything(), SCHEMA)
    known = set(SCHEMA["$defs"]["picture"]["properties"])
    assert known >= everything()["pictures"][0].keys()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("request_id", 1),
        ("index", -1),
        ("index", "0"),
        ("bytes", 0),
        ("sha256", "abc"),
        ("content_type", "text/html"),
        ("width", 0),
        ("saved_at", "yesterday"),
        ("uri", "no uri"),
        ("source_url", "https://cdn.example.com/0.png?signature=1"),
        ("model", ""),
        ("seed", "5"),
        ("nsfw_content_detected", "yes"),
    ],
)
def test_the_schema_refuses_what_is_wrong(key, value):
    document = everything()
    document["pictures"][0][key] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize("key", ["request_id", "index", "uri", "bytes", "sha256", "saved_at"])
def test_the_schema_misses_what_must_be_there(key):
    document = everything()
    del document["pictures"][1][key]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
