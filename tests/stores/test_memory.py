# SPDX-License-Identifier: Apache-2.0
"""A picture of 500 MB goes to a store in little memory; the stores run in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.storage.conftest import Reply
from tests.storage.test_limits import ROOT, large
from tests.stores.conftest import ALL

MEGABYTES = {"s3": 500, "azure": 500, "gcs": 200, "file": 500}
"""fake-gcs-server gets slower with each part of an object: 500 MB take it a minute and a half."""
MOST = {"s3": 40, "azure": 40, "gcs": 50, "file": 20}
"""MiB by which the process may grow beyond what it has once a small picture is saved."""
SCRIPT = """
import json, logging, sys, threading
import psutil
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_dreambooth.storage import Picture, save_pictures
large, small, place, conn_id = sys.argv[1:]
folder = ObjectStoragePath(place, conn_id=conn_id or None)
options = dict(allow_private=True, link_patience=0.0, log=logging.getLogger(), max_bytes=1 << 30)
save_pictures([Picture("warm", 0, small)], folder, **options)
process, done = psutil.Process(), threading.Event()
before = peak = process.memory_info().rss
def watch():
    global peak
    while not done.wait(0.01):
        peak = max(peak, process.memory_info().rss)
watcher = threading.Thread(target=watch)
watcher.start()
report = save_pictures([Picture("1", 0, large)], folder, **options)
again = save_pictures([Picture("1", 0, large)], folder, **options)
done.set()
watcher.join()
assert not report.failed + again.failed, report.failed + again.failed
assert again.saved[0].sha256 == report.saved[0].sha256
print(json.dumps({"bytes": report.saved[0].bytes, "grown": peak - before}))
"""


@pytest.mark.parametrize("name", ALL)
def test_memory_stays_flat_with_a_very_large_picture(name, all_buckets, prefix, host, folder, png):
    bucket = all_buckets[name]
    length = len(png) + (MEGABYTES[name] << 20)
    link = host.give("/large", Reply(large(png, MEGABYTES[name]), length=length))
    conn_id = f"{bucket.conn_id}_direct" if name != "file" else ""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        SCRIPT,
        link,
        host.give("/small", png),
        bucket.uri(prefix),
    ]
    done = subprocess.run(
        [*command, conn_id],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder.parent)},
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["bytes"] == length
    assert host.asked("/large") == 1  # the second time it is read back
    assert found["grown"] < MOST[name] << 20
