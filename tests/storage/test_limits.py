# SPDX-License-Identifier: Apache-2.0
"""What only a process of its own shows: how much memory a large picture takes, and a full disk."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.storage.conftest import Reply, tree

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, logging, resource, sys
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_dreambooth.storage import Picture, save_pictures
urls, limit, small, *place = sys.argv[1:]
folder = ObjectStoragePath(place[0], conn_id=place[1] if place[1:] else None)
thumbnails = limit == "thumbnails"
options = dict(with_thumbnails=thumbnails)
options |= dict(allow_private=True, link_patience=0.0, log=logging.getLogger(), max_bytes=1 << 30)
save_pictures([Picture("warm", 0, small)], folder, **options)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if not thumbnails and int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
wanted = [Picture("1", index, url) for index, url in enumerate(urls.split())] + [Picture("2", 0, small)]
report = save_pictures(wanted, folder, **options)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "saved": [item.to_dict() for item in report.saved],
    "failed": [item.to_dict() for item in report.failed],
    "grown": after - before,
}))
"""


def run(folder: Path, url: str, limit: int | str, small: str, *bucket: str) -> dict:
    place = bucket or [f"file://{folder}"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, url, str(limit), small, *place],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder.parent)},
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def large(picture: bytes, megabytes: int):
    yield picture
    for _ in range(megabytes):
        yield bytes(1 << 20)


def test_memory_stays_flat_however_large_the_picture(host, folder, pictures):
    length = len(pictures[".png"]) + (200 << 20)
    url = host.give("/large", Reply(large(pictures[".png"], 200), length=length))
    found = run(folder, url, 0, host.give("/small", pictures[".gif"]))
    assert [item["bytes"] for item in found["saved"]] == [length, len(pictures[".gif"])]
    assert found["grown"] < 30 * 1024  # kilobytes


def test_a_full_disk_is_told_and_left_clean(host, folder, pictures):
    length = len(pictures[".png"]) + (4 << 20)
    url = host.give("/large", Reply(large(pictures[".png"], 4), length=length))
    found = run(folder, url, 1 << 20, host.give("/small", pictures[".gif"]))
    assert [item["request_id"] for item in found["saved"]] == ["2"]
    (failed,) = found["failed"]
    assert "File too large while writing" in failed["reason"]
    assert str(folder.parent) in failed["reason"]
    assert tree(folder.parent) == ["saved/2-0.gif", "saved/warm-0.gif"]


def test_large_pictures_are_decoded_one_at_a_time(host, folder, pictures):
    """Each takes 100 MB for a preview, which four at once would take four times."""
    large = io.BytesIO()
    Image.new("RGB", (5000, 5000), "teal").save(large, "PNG")
    urls = [host.give(f"/{number}", large.getvalue()) for number in range(4)]
    found = run(folder, " ".join(urls), "thumbnails", host.give("/small", pictures[".gif"]))
    assert len(found["saved"]) == 5
    assert found["grown"] < 180 * 1024
