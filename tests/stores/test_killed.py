# SPDX-License-Identifier: Apache-2.0
"""A worker that is killed in the middle of an upload, and disks that are full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from airflow_provider_dreambooth.storage import Picture
from tests.storage.conftest import Reply
from tests.storage.test_limits import ROOT
from tests.stores.buckets import BUCKET
from tests.stores.proxy import Fault, waited

MIDDLE = 0x10_0000
WORKER = """
import json, logging, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_dreambooth.storage import Picture, save_pictures
place, conn_id, *links = sys.argv[1:]
wanted = [Picture("1", number, link) for number, link in enumerate(links)]
folder = ObjectStoragePath(place, conn_id=conn_id or None)
options = dict(allow_private=True, link_patience=0.0, log=logging.getLogger(), max_parallel=1)
report = save_pictures(wanted, folder, **options)
print(json.dumps([item.to_dict() for item in report.failed]))
"""


MANIFEST_WRITER = """
import logging, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_dreambooth.storage import write_manifest
from tests.storage.test_manifest import saved
folder = ObjectStoragePath(sys.argv[1], conn_id=sys.argv[2])
write_manifest(folder, [saved("1", 0, prompt="x" * int(sys.argv[3]))], log=logging.getLogger())
"""


def start(bucket, place, links, script=WORKER, **environ) -> subprocess.Popen[str]:
    conn_id = bucket.conn_id if bucket.name != "file" else ""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script, place, conn_id, *links],
        cwd=ROOT,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def failure(worker: subprocess.Popen[str]) -> dict[str, Any]:
    """The one picture that a worker could not save."""
    out, errors = worker.communicate(timeout=100)
    assert worker.returncode == 0, errors
    (failed,) = json.loads(out.splitlines()[-1])
    return failed


def kill(worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.communicate(timeout=60)


def test_a_worker_that_is_killed_while_it_sends(remote, prefix, save, host, png, tmp_path):
    data = png + bytes(remote.large)
    links = [host.give("/0", png), host.give("/1", data)]
    large = Fault(lambda r: remote.sends(r) and r.length > 2 * MIDDLE, skip=1, cut=MIDDLE, stall=True)
    remote.proxy.fault = large
    worker = start(remote, remote.uri(prefix), links, TMPDIR=str(tmp_path))
    try:
        assert waited(large.met)
    finally:
        kill(worker)
    assert remote.names(prefix) == [f"{prefix}/1-0.png"]
    # Nobody is left to give it up: a rule of the bucket's does.
    assert remote.unfinished(prefix) == ([f"{prefix}/1-1.png"] if remote.name == "s3" else [])
    remote.proxy.fault = None
    wanted = [Picture("1", number, link) for number, link in enumerate(links)]
    assert save(wanted, remote.destination(prefix)).failed == ()
    assert remote.read(f"{prefix}/1-1.png").content == data
    assert host.asked("/0") == 1


def tell_to_end(worker, sent) -> None:
    """Send SIGTERM when the fault has struck, and see to it that the worker ends by it."""
    try:
        assert waited(sent.met)
        worker.terminate()
        worker.communicate(timeout=60)
    finally:
        kill(worker)
    assert worker.returncode == 143


def test_a_worker_that_is_told_to_end_gives_up_its_upload_and_no_other(s3, prefix, host, png, tmp_path):
    """A store that takes no more bytes does not keep it from doing so."""
    key = f"{prefix}/1-0.png"
    of_another = s3.client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    s3.proxy.fault = sent = Fault(lambda r: "partNumber=2" in r.target, cut=MIDDLE, stall=True)
    link = host.give("/0", png + bytes(s3.large))
    worker = start(s3, s3.uri(prefix), [link], TMPDIR=str(tmp_path))
    tell_to_end(worker, sent)
    left = s3.client.list_multipart_uploads(Bucket=BUCKET, Prefix=key)["Uploads"]
    assert [one["UploadId"] for one in left] == [of_another]
    assert s3.names(prefix) == []


def test_a_worker_that_is_told_to_end_gives_up_its_manifest_too(s3, prefix, tmp_path):
    s3.proxy.fault = sent = Fault(lambda r: "partNumber=2" in r.target, cut=MIDDLE, stall=True)
    large = str(s3.large)
    worker = start(s3, s3.uri(prefix), [large], MANIFEST_WRITER, TMPDIR=str(tmp_path), PYTHONPATH=str(ROOT))
    tell_to_end(worker, sent)
    assert s3.unfinished(prefix) == s3.names(prefix) == []


def test_a_worker_that_is_killed_while_it_writes_to_disk(all_buckets, prefix, save, host, png):
    bucket = all_buckets["file"]
    data = png + bytes(bucket.large)
    stalled = Reply(data, cut=MIDDLE, stall=True)
    links = [host.give("/0", png), host.give("/1", stalled, data)]
    worker = start(bucket, bucket.uri(prefix), links)
    try:
        while not any(name.endswith("/1") for name in bucket.names(prefix)):  # the file under way
            assert worker.poll() is None, worker.communicate()
    finally:
        kill(worker)
    assert [name for name in bucket.names(prefix) if "/." not in name] == [f"{prefix}/1-0.png"]
    wanted = [Picture("1", number, link) for number, link in enumerate(links)]
    assert save(wanted, bucket.destination(prefix)).failed == ()
    assert bucket.read(f"{prefix}/1-1.png").content == data


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_at_the_destination(all_buckets, small_disk, host, png):
    links = [host.give("/0", png), host.give("/1", png + bytes(20 << 20)), host.give("/2", png)]
    failed = failure(start(all_buckets["file"], f"file://{small_disk}/saved", links))
    assert failed["index"] == 1
    assert "No space left on device while writing" in failed["reason"]
    left = sorted(path.name for path in small_disk.rglob("*") if path.is_file())
    assert left == ["1-0.png", "1-2.png"]


def test_a_full_temporary_folder(s3, prefix, small_disk, save, host, png):
    links = [host.give("/0", png), host.give("/1", png + bytes(20 << 20)), host.give("/2", png)]
    failed = failure(start(s3, s3.uri(prefix), links, TMPDIR=str(small_disk)))
    assert "No space left on device while writing" in failed["reason"]
    assert list(small_disk.rglob("*")) == []
    assert s3.names(prefix) == [f"{prefix}/1-0.png", f"{prefix}/1-2.png"]
    # The same disk does not hold what is read back, which says nothing against the store.
    wanted = [Picture("1", number, link) for number, link in enumerate(links)]
    assert save(wanted, s3.destination(prefix)).failed == ()
    failed = failure(start(s3, s3.uri(prefix), links, TMPDIR=str(small_disk)))
    assert f"the worker's temporary folder {small_disk}" in failed["reason"]
    assert failed["reason"].endswith("is full")
