# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import signal
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, ObjectStoragePath

from airflow_provider_dreambooth.exceptions import DreamboothSaveError
from airflow_provider_dreambooth.storage import Picture, save_pictures
from airflow_provider_dreambooth.storage.provenance import Provenance
from tests.storage.conftest import Reply, draw, tree


@pytest.fixture
def save(destination, log, tmp_path, monkeypatch):
    def run(pictures, **options):
        options = {"allow_private": True, "timeout": (2, 5), "link_patience": 0.0, "log": log} | options
        return save_pictures(pictures, options.pop("destination", destination), **options)

    local = tmp_path / "local"
    local.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(local))
    yield run
    assert tree(local) == []


@pytest.fixture(scope="module")
def memory_fs():
    """Make a file system that fails as it is told; Airflow keeps the first one that is attached."""
    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach

    class Failing(MemoryFileSystem):
        store: dict[str, object] = {}  # noqa: RUF012 - of this test alone
        pseudo_dirs = [""]  # noqa: RUF012

        def put_file(self, lpath, rpath, **kwargs):
            self.written.append(rpath)
            super().put_file(lpath, rpath, **kwargs)
            if self.broken:
                raise OSError("cut")

        def get_file(self, rpath, lpath, **kwargs):
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            super().get_file(rpath, lpath, **kwargs)

        def rm_file(self, path):
            if self.kept and path.endswith(self.kept):
                raise PermissionError("kept")
            super().rm_file(path)

    fs = Failing(skip_instance_cache=True)
    attach(protocol="memory", fs=fs)
    return fs


@pytest.fixture
def memory(memory_fs):
    """A destination in a store of another kind, empty, and its file system."""
    memory_fs.store.clear()
    memory_fs.pseudo_dirs[:] = ["", "/bucket", "/bucket/prefix"]
    memory_fs.written, memory_fs.broken, memory_fs.full, memory_fs.kept = [], False, False, None
    return ObjectStoragePath("memory://bucket/prefix"), memory_fs


def test_pictures_of_every_kind(host, save, folder, pictures, caplog):
    caplog.set_level(logging.INFO)
    wanted = [
        Picture("7", index, host.give(f"/7-{index}.txt", data) + "?sig=SECRET")
        for index, data in enumerate(pictures.values())
    ]
    report = save(wanted)
    assert report.failed == ()
    assert tree(folder) == ["7-0.png", "7-1.jpg", "7-2.webp", "7-3.gif"]
    for index, (suffix, data) in enumerate(pictures.items()):
        kind = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}[suffix]
        path = folder / f"7-{index}{suffix}"
        assert path.read_bytes() == data
        assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
        known = report.saved[index].to_dict()
        assert pendulum.parse(known.pop("saved_at")) <= pendulum.now("UTC")
        assert known == {
            "request_id": "7",
            "index": index,
            "source_url": f"{host.url}/7-{index}.txt",
            "uri": f"file://{path}",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "content_type": kind,
            "width": 48,
            "height": 32,
        }
    assert len(caplog.records) == 4
    assert "SECRET" not in caplog.text
    assert "SECRET" not in repr(wanted)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_one_bad_picture_loses_none_of_the_others(host, save, folder, pictures):
    wanted = [
        Picture("a", 0, host.give("/0", pictures[".png"])),
        Picture("a", 1, "http://169.254.169.254/latest/meta-data/?k=SECRET"),
        Picture("b", 0, host.give("/1", b"<html>no</html>")),
        Picture("b", 1, host.give("/2", Reply(status=410)) + "?sig=SECRET"),
        Picture("c", 0, host.give("/3", pictures[".jpg"])),
        Picture("d", 0, "file:///etc/passwd"),
        Picture("e", 0, "\0"),
    ]
    report = save(wanted)
    assert [(item.request_id, item.index) for item in report.saved] == [("a", 0), ("c", 0)]
    assert [(item.request_id, item.index, item.final) for item in report.failed] == [
        ("a", 1, True),
        ("b", 0, False),
        ("b", 1, True),
        ("d", 0, True),
        ("e", 0, True),
    ]
    assert "metadata address" in report.failed[0].reason
    assert report.failed[0].to_dict()["source_url"] == "http://169.254.169.254/latest/meta-data/"
    assert "SECRET" not in str(report)
    assert tree(folder) == ["a-0.png", "c-0.jpg"]


def test_the_order_is_that_of_the_input_and_repeats_are_downloaded_once(host, save, pictures):
    slow = host.give("/slow", Reply(status=404), Reply(status=404), pictures[".png"])
    wanted = [
        Picture("z", 0, slow),
        *(Picture("a", i, host.give(f"/{i}", pictures[".gif"])) for i in range(5)),
    ]
    report = save([*wanted, wanted[1]], link_patience=20)
    assert [(item.request_id, item.index) for item in report.saved] == [
        ("z", 0),
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("a", 4),
        ("a", 0),
    ]
    assert host.asked("/0") == 1


def test_nothing_to_save(save, folder):
    report = save([])
    assert report.saved == report.failed == ()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["../{request_id}-{index}", "/etc/{request_id}", "{seed}", "same"])
def test_a_bad_name_is_an_error_before_anything_is_asked(host, save, folder, pictures, name):
    wanted = [Picture("a", i, host.give("/0", pictures[".png"])) for i in range(2)]
    with pytest.raises(ValueError, match="name pattern"):
        save(wanted, name=name)
    assert host.requests == []
    assert not folder.exists()


def test_an_id_that_would_escape_is_refused(host, save, folder, pictures):
    with pytest.raises(ValueError, match="no plain relative name"):
        save([Picture("../../evil", 0, host.give("/0", pictures[".png"]))])


def test_folders_in_names(host, save, folder, pictures):
    report = save([Picture("a", 3, host.give("/0", pictures[".png"]))], name="x/{request_id}/{index:03}")
    assert report.saved[0].uri == f"file://{folder}/x/a/003.png"
    assert tree(folder) == ["x/a/003.png"]


def test_a_second_run_downloads_nothing(host, save, folder, pictures):
    wanted = [Picture("a", i, host.give(f"/{i}", data)) for i, data in enumerate(pictures.values())]
    first = save(wanted)
    asked = len(host.requests)
    stamps = [path.stat().st_mtime_ns for path in folder.iterdir()]
    assert save(wanted) == first
    assert len(host.requests) == asked
    assert [path.stat().st_mtime_ns for path in folder.iterdir()] == stamps


def test_a_second_run_saves_only_what_is_missing(host, save, pictures):
    wanted = [Picture("a", i, host.give(f"/{i}", pictures[".png"])) for i in range(2)]
    host.give("/1", Reply(status=410))
    assert len(save(wanted).saved) == 1
    host.give("/1", pictures[".jpg"])
    assert [item.uri[-7:] for item in save(wanted).saved] == ["a-0.png", "a-1.jpg"]
    assert host.asked("/0") == 1


def test_a_name_that_two_requests_may_have_is_not_taken_for_the_other(host, save, folder, pictures):
    """No manifest tells whose it is: the task that saved it was killed."""
    first, second = (
        Picture(rid, 0, host.give(f"/{rid}", data), Provenance(model=model))
        for rid, model, data in [("1-2", "a", pictures[".png"]), ("2", "a-1", draw("PNG", (9, 9)))]
    )
    pattern = "{model}-{request_id}"
    kept = save([first], name=pattern)
    (failed,) = save([second], name=pattern).failed
    assert f"file://{folder}/a-1-2.png is already there, but not as it should be" in failed.reason
    assert "it is another picture, of which no manifest tells" in failed.reason
    assert "a name such as {request_id}-{index} keeps both" in failed.reason
    assert save([first], name=pattern) == kept


@pytest.mark.parametrize(
    ("status", "told", "final"),
    [
        (403, "HTTP 403: not there yet, or the link has expired or is not allowed", False),
        (410, "HTTP 410", True),
    ],
)
def test_a_picture_of_which_nothing_tells_whose_it_is(host, save, folder, pictures, status, told, final):
    """The task that saved it was killed before the manifest, and its link has expired since."""
    wanted = [Picture("1", 0, host.give("/0", pictures[".png"]))]
    save(wanted, name="latest")
    host.give("/0", Reply(status=status))
    (failed,) = save(wanted, name="latest").failed
    assert failed.reason.startswith(f"file://{folder}/latest.png is already there, but neither its name nor")
    assert f"its link does not either: {told}" in failed.reason
    assert failed.reason.endswith("if it is another, overwrite=True replaces it once the link answers")
    assert failed.final is final
    assert (folder / "latest.png").read_bytes() == pictures[".png"]


def test_what_is_there_but_not_whole_is_told_and_left(host, save, folder, pictures):
    folder.mkdir()
    (folder / "a-0.webp").write_bytes(pictures[".webp"][:-1])
    (folder / "a-1.png").write_text("my notes")
    (folder / "a-2.png").write_bytes(draw("PNG", (300, 300)) + bytes(5000))
    wanted = [Picture("a", i, host.give(f"/{i}", pictures[".png"])) for i in range(3)]
    report = save(wanted, max_bytes=4000)
    assert report.saved == ()
    for failed, uri in zip(report.failed, ("a-0.webp", "a-1.png", "a-2.png"), strict=True):
        assert f"file://{folder}/{uri} is already there" in failed.reason
        assert "overwrite=True replaces it" in failed.reason
        assert failed.final
    assert host.requests == []
    assert (folder / "a-1.png").read_text() == "my notes"
    report = save(wanted, overwrite=True)
    assert len(report.saved) == 3
    assert (folder / "a-1.png").read_bytes() == pictures[".png"]


def test_overwrite_downloads_anew_and_keeps_the_old_one_until_then(host, save, folder, pictures):
    wanted = [Picture("a", 0, host.give("/0", pictures[".png"]))]
    save(wanted)
    host.give("/0", Reply(pictures[".png"], status=410))
    assert len(save(wanted, overwrite=True).failed) == 1
    assert (folder / "a-0.png").read_bytes() == pictures[".png"]
    other = draw("PNG", (9, 9))
    host.give("/0", other)
    assert save(wanted, overwrite=True).saved[0].width == 9
    assert (folder / "a-0.png").read_bytes() == other


def test_overwrite_takes_away_the_old_picture_of_another_kind(host, save, folder, pictures):
    """A later run, which looks for the name with each suffix, must find the new one."""
    wanted = [Picture("a", 0, host.give("/0", pictures[".png"]))]
    save(wanted)
    host.give("/0", pictures[".jpg"])
    replaced = save(wanted, overwrite=True)
    assert tree(folder) == ["a-0.jpg"]
    assert save(wanted) == replaced


def test_what_cannot_be_deleted_is_named(host, save, memory, pictures):
    destination, fs = memory
    wanted = [Picture("a", i, host.give(f"/{i}", pictures[".png"])) for i in range(2)]
    save(wanted[:1], destination=destination)
    host.give("/0", pictures[".gif"])
    fs.kept = "a-0.png"
    report = save(wanted, destination=destination, overwrite=True, max_parallel=1)
    assert [item.index for item in report.saved] == [1]
    (failed,) = report.failed
    assert "could not delete memory://" in failed.reason
    assert "bucket/prefix/a-0.png: PermissionError: kept" in failed.reason


def test_a_full_temporary_folder_is_not_blamed_on_the_store(host, save, memory, pictures):
    destination, fs = memory
    wanted = [Picture("a", i, host.give(f"/{i}", pictures[".png"])) for i in range(5)]
    save(wanted[:4], destination=destination)
    fs.full = True
    report = save(wanted, destination=destination, max_parallel=1)
    assert [item.index for item in report.saved] == [4]
    for failed in report.failed:
        assert re.search(r"read memory:.*: the worker's temporary folder /.* is full", failed.reason)


@pytest.mark.parametrize(("url", "extra"), [("gs://bucket/x", "gcs"), ("abfs://bucket/x", "azure")])
def test_a_file_system_that_is_not_installed_comes_with_an_extra(save, host, url, extra):
    if find_spec({"gcs": "gcsfs", "azure": "adlfs"}[extra]):
        pytest.skip("it is installed here")
    with pytest.raises(DreamboothSaveError, match=rf"pip install 'airflow-provider-dreambooth\[{extra}\]'"):
        save([Picture("a", 0, host.url)], destination=ObjectStoragePath(url))


def test_a_folder_that_is_another_disk(host, save, folder, pictures):
    """A name may lead there: a rename does not."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as disk:
        folder.mkdir()
        if Path(disk).stat().st_dev == folder.stat().st_dev:
            pytest.skip("no other disk")
        (folder / "7").symlink_to(disk)
        report = save([Picture("7", 0, host.give("/0", pictures[".png"]))], name="{request_id}/{index}")
        assert report.failed == ()
        assert (folder / "7" / "0.png").read_bytes() == pictures[".png"]
        assert tree(Path(disk)) == ["0.png"]


def test_a_destination_that_is_a_file(host, save, folder, pictures):
    folder.write_text("x")
    with pytest.raises(DreamboothSaveError, match=f"destination file://{folder} cannot be used"):
        save([Picture("a", 0, host.give("/0", pictures[".png"]))])
    assert host.requests == []
    assert folder.read_text() == "x"


@pytest.mark.parametrize(
    ("url", "conn_id", "told"),
    [
        ("nosuch://bucket/x", None, "nosuch"),
        ("s3://bucket/x", "no_such_connection", "storage_conn_id 'no_such_connection'"),
    ],
)
def test_a_destination_without_a_store(host, save, pictures, url, conn_id, told, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    wanted = [Picture("a", 0, host.give("/0", pictures[".png"]))]
    with pytest.raises((DreamboothSaveError, ValueError), match=told):
        save(wanted, destination=ObjectStoragePath(url, conn_id=conn_id))
    assert host.requests == []


def test_a_store_that_fails_for_all_is_not_asked_a_thousand_times(host, save, folder, pictures):
    """A folder stands where each picture must go: the first failures speak for the rest."""
    wanted = [Picture("a", i, host.give(f"/{i}", pictures[".png"])) for i in range(30)]
    for i in range(30):
        (folder / f"a-{i}.png").mkdir(parents=True)
    report = save(wanted, max_parallel=2)
    assert len(report.failed) == 30
    assert "Is a directory" in report.failed[0].reason
    assert f"write {len(pictures['.png'])} bytes to file://{folder}/a-0.png" in report.failed[0].reason
    assert report.failed[-1].reason.startswith("not tried, because the destination failed before")
    assert len(host.requests) <= 5
    assert tree(folder) == []


def test_many_are_logged_as_progress(host, save, pictures, caplog):
    caplog.set_level(logging.INFO)
    url = host.give("/0", pictures[".gif"])
    save(
        [*(Picture("a", i, url) for i in range(38)), Picture("b", 0, "ftp://x/"), Picture("b", 1, "ftp://x/")]
    )
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert len([line for line in told if "pictures done" in line]) == 10
    assert told[-1] == "40 of 40 pictures done, 2 failed"
    assert len(told) == 10
    assert len([line for line in caplog.messages if "is not saved" in line]) == 2


@pytest.mark.parametrize("kind", [KeyboardInterrupt, AirflowTaskTimeout])
def test_an_interrupted_run_stops_at_once_and_leaves_nothing_in_parts(host, save, folder, pictures, kind):
    stalled = [
        Picture("s", i, host.give(f"/s{i}", Reply(pictures[".png"], cut=50, stall=True))) for i in range(2)
    ]
    late = [Picture("l", 0, host.give("/l", Reply(status=404)))]
    whole = [Picture("w", i, host.give(f"/w{i}", pictures[".png"])) for i in range(20)]

    def on_alarm(*_):
        raise kind

    def alarm():
        deadline = time.monotonic() + 10
        while host.asked("/s1") == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, on_alarm)
    thread = threading.Thread(target=alarm)
    thread.start()
    try:
        with pytest.raises(kind):
            save([*stalled, *late, *whole], max_parallel=3, link_patience=60.0, timeout=(2, 60))
    finally:
        signal.signal(signal.SIGUSR1, before)
        thread.join()
    assert not host.going.is_set()
    with contextlib.suppress(FileNotFoundError):
        assert all(path.read_bytes() == pictures[".png"] for path in folder.iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dreambooth-save")]


def test_a_store_of_another_kind_is_written_beside_and_renamed(host, save, pictures, memory):
    destination, fs = memory
    wanted = [Picture("a", 0, host.give("/0", pictures[".png"]))]
    report = save(wanted, destination=destination)
    assert report.failed == ()
    assert report.saved[0].uri.endswith("bucket/prefix/a-0.png")
    assert save(wanted, destination=destination) == report
    assert fs.written[0].endswith(".part")
    fs.broken = True
    report = save([Picture("b", 0, wanted[0].url)], destination=destination)
    assert "cut" in report.failed[0].reason
    assert [Path(name).name for name in fs.find("/bucket")] == ["a-0.png"]
