# SPDX-License-Identifier: Apache-2.0
"""Whole or absent: whatever breaks between the client and its store, nothing half is under a final name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_dreambooth.storage import check_folder, read_manifest, uploads, write_manifest
from tests.storage.conftest import draw
from tests.stores.buckets import BUCKET, STALLED
from tests.stores.conftest import asked_for
from tests.stores.proxy import Fault, Request, waited

MIDDLE = 0x10_0000
PLACES = {"first byte": 0, "middle": MIDDLE, "last byte": -1}


@pytest.fixture
def wanted(remote, host, png) -> dict[str, bytes]:
    """Three pictures by their links, of which the middle one is large."""
    content = [png, png + bytes(remote.large), draw("PNG", (30, 20))]
    return {host.give(f"/{number}", data): data for number, data in enumerate(content)}


def is_large(remote):
    """A request that brings bytes of the large picture."""
    return lambda request: remote.sends(request) and request.length > 2 * MIDDLE


def assert_whole_or_absent(remote, prefix, wanted, *, lacking=()):
    names = [f"{prefix}/1-{number}.png" for number in range(3) if number not in lacking]
    assert remote.names(prefix) == names
    for name in names:
        assert remote.read(name).content == list(wanted.values())[int(name[-5])]
    assert remote.unfinished(prefix) == []


def assert_retried(remote, prefix, wanted, save, host):
    """The task once more, with nothing in the way: it does only what is missing."""
    remote.proxy.fault = None
    before = len(host.requests)
    report = save(asked_for(wanted), remote.destination(prefix))
    assert report.failed == ()
    assert_whole_or_absent(remote, prefix, wanted)
    return len(host.requests) - before


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("place", PLACES)
def test_an_upload_that_always_breaks(remote, prefix, wanted, save, host, place, part):
    remote.proxy.fault = Fault(is_large(remote), cut=PLACES[place], skip=part)
    report = save(asked_for(wanted), remote.destination(prefix), max_parallel=1)
    assert [failed.index for failed in report.failed] == [1]
    assert report.failed[0].reason.startswith(f"could not write {len(wanted[list(wanted)[1]]):,} bytes to")
    assert_whole_or_absent(remote, prefix, wanted, lacking=[1])
    assert assert_retried(remote, prefix, wanted, save, host) == 1


@pytest.mark.parametrize("place", PLACES)
def test_an_upload_that_breaks_once_goes_on(remote, prefix, wanted, save, place):
    remote.proxy.fault = Fault(is_large(remote), cut=PLACES[place], skip=1, times=1)
    assert save(asked_for(wanted), remote.destination(prefix)).failed == ()
    assert_whole_or_absent(remote, prefix, wanted)


@pytest.mark.parametrize("place", PLACES)
def test_a_small_upload_that_always_breaks(remote, prefix, wanted, save, host, place):
    cut = -1 if place == "last byte" else PLACES[place] and 50
    small = [request for request in wanted if request.endswith("/0")]
    remote.proxy.fault = Fault(remote.sends, cut=cut)
    (failed,) = save(asked_for(small), remote.destination(prefix)).failed
    assert failed.reason.startswith("could not write")
    assert remote.names(prefix) == []
    assert assert_retried(remote, prefix, wanted, save, host) == 3


@pytest.mark.parametrize("how", ["cut", "answers 500", "reply lost"])
@pytest.mark.parametrize("times", [1, 1000])
def test_a_commit_that_breaks(remote, prefix, wanted, save, host, how, times):
    ways = {"cut": {"cut": -1}, "answers 500": {"status": 500}, "reply lost": {"lose_reply": True}}
    remote.proxy.fault = fault = Fault(remote.commits, times=times, **ways[how])
    save(asked_for(wanted), remote.destination(prefix))
    assert fault.met.is_set()
    # Whoever hears no answer cannot know whether the object is there: if so, it is whole.
    there = f"{prefix}/1-1.png" in remote.names(prefix)
    assert_whole_or_absent(remote, prefix, wanted, lacking=() if there else (1,))
    assert there or how != "reply lost"
    assert assert_retried(remote, prefix, wanted, save, host) == (0 if there else 1)


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_that_fails_for_a_moment(remote, prefix, wanted, save, status):
    remote.proxy.fault = fault = Fault(remote.sends, status=status, times=1)
    assert save(asked_for(wanted), remote.destination(prefix)).failed == ()
    assert fault.met.is_set()
    assert_whole_or_absent(remote, prefix, wanted)


def test_a_store_that_takes_nothing_for_a_while(remote, prefix, wanted, save, host):
    remote.proxy.fault = Fault(remote.sends, status=503)
    report = save(asked_for(wanted), remote.destination(prefix))
    assert [failed.index for failed in report.failed] == [0, 1, 2]
    assert all(failed.reason.startswith("could not write") for failed in report.failed)
    assert remote.names(prefix) == []
    assert remote.unfinished(prefix) == []
    assert assert_retried(remote, prefix, wanted, save, host) == 3


def test_a_store_that_takes_no_more_bytes(remote, prefix, wanted, save, host, monkeypatch):
    monkeypatch.setattr(uploads, "PATIENCE", STALLED)
    monkeypatch.setattr(uploads, "SLOWEST", 1 << 40)
    remote.proxy.fault = fault = Fault(is_large(remote), cut=MIDDLE, stall=True, skip=1, times=1)
    report = save(asked_for(wanted), remote.destination(prefix))
    assert fault.met.is_set()
    assert_whole_or_absent(remote, prefix, wanted, lacking=[one.index for one in report.failed])
    assert assert_retried(remote, prefix, wanted, save, host) == len(report.failed)


def test_the_upload_of_another_writer_is_left_alone(s3, prefix, save, host, png, monkeypatch):
    monkeypatch.setattr(uploads, "PATIENCE", 1.0)
    monkeypatch.setattr(uploads, "SLOWEST", 1 << 40)
    key = f"{prefix}/1-0.png"
    of_another = s3.client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    s3.proxy.fault = Fault(lambda r: "partNumber=2" in r.target, cut=MIDDLE, stall=True)
    link = host.give("/0", png + bytes(s3.large))
    [failed] = save(asked_for([link]), s3.destination(prefix)).failed
    assert failed.reason.endswith("TimeoutError: the store did not take it within 1 seconds")
    left = s3.client.list_multipart_uploads(Bucket=BUCKET, Prefix=key)["Uploads"]
    assert [one["UploadId"] for one in left] == [of_another]


def test_writers_of_one_object_do_not_mix_their_blocks(azure, prefix, save, host, png):
    """Azure throws away the blocks of one when the other commits; its client named them alike."""
    first, second = png + bytes(azure.large), png + b"\1" * azure.large
    options = {"destination": azure.destination(prefix), "name": "latest", "overwrite": True}
    azure.proxy.fault = commits = Fault(azure.commits, times=1, cut=0, stall=True)
    link = host.give("/first", first)
    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(save, asked_for([link]), **options)
        assert waited(commits.met)
        assert save(asked_for([host.give("/second", second)]), **options).failed == ()
        assert azure.read(f"{prefix}/latest.png").content == second
        azure.proxy.going.set()
        assert one.result(timeout=100).failed == ()
    assert azure.read(f"{prefix}/latest.png").content == first


def test_the_parts_of_an_upload_are_named_as_s3_knows_them(s3, prefix, save, host, png):
    """S3 refuses checksums of an upload that was begun without saying which; moto lets them pass."""
    sent = []
    fs = s3.destination(prefix).fs
    fs.connect()
    events = fs.s3.meta.events
    note = lambda params, **_: sent.append(params["MultipartUpload"])  # noqa: E731
    events.register("provide-client-params.s3.CompleteMultipartUpload", note, unique_id="note")
    try:
        link = host.give("/0", png + bytes(s3.large))
        assert save(asked_for([link]), s3.destination(prefix)).failed == ()
    finally:
        events.unregister("provide-client-params.s3.CompleteMultipartUpload", unique_id="note")
    [upload] = sent
    assert [set(part) for part in upload["Parts"]] == [{"PartNumber", "ETag"}] * 3


def test_a_right_to_the_folder_alone_is_enough(s3, prefix, save, host, png, log):
    """Who may list what begins with the folder is refused the rest, and is not told what is missing."""

    def refused(request: Request) -> bool:
        lists = request.method == "GET" and "list-type=2" in request.target
        return request.method == "HEAD" or (lists and f"prefix={prefix}%2F" not in request.target)

    s3.proxy.fault = fault = Fault(refused, status=403)
    folder, wanted = s3.destination(prefix), asked_for([host.give("/0", png), host.give("/1", png)])
    for _ in range(2):
        check_folder(folder, overwrite=False, with_contact_sheet=True)
        report = save(wanted, folder)
        assert report.failed == ()
        write_manifest(folder, report.saved, with_contact_sheet=True, log=log)
    assert len(read_manifest(folder)) == 2
    assert not fault.met.is_set()


def test_reading_back_goes_on_after_a_cut(remote, prefix, wanted, save, host):
    assert assert_retried(remote, prefix, wanted, save, host) == 3
    remote.proxy.fault = fault = Fault(remote.reads, cut_reply=MIDDLE, times=1)
    save(asked_for(wanted), remote.destination(prefix))
    assert fault.met.is_set()
    assert assert_retried(remote, prefix, wanted, save, host) == 0


def test_reading_back_that_always_breaks_is_told_and_leaves_what_is_there(remote, prefix, wanted, save, host):
    assert assert_retried(remote, prefix, wanted, save, host) == 3
    remote.proxy.fault = Fault(remote.reads, status=500)
    report = save(asked_for(wanted), remote.destination(prefix))
    assert len(report.failed) == 3
    assert report.failed[0].reason.startswith(f"could not read {remote.uri(prefix)}/1-0.png: ")
    assert not report.failed[0].final
    assert assert_retried(remote, prefix, wanted, save, host) == 0
