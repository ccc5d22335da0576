# SPDX-License-Identifier: Apache-2.0
"""What a user sees of a store when nothing breaks, and it is the same for each of them."""

from __future__ import annotations

import pytest

from airflow_provider_dreambooth.exceptions import DreamboothSaveError
from airflow_provider_dreambooth.storage import Picture, read_manifest, write_manifest
from tests.storage.test_manifest import keys, written_at_once
from tests.stores.buckets import encoded
from tests.stores.proxy import Fault

TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}


def all_kinds(host, pictures):
    return [
        Picture("1", number, host.give(f"/{number}", data)) for number, data in enumerate(pictures.values())
    ]


def test_pictures_are_saved_whole_with_their_content_type(bucket, prefix, save, host, pictures, caplog):
    report = save(all_kinds(host, pictures), bucket.destination(prefix))
    assert report.failed == ()
    names = [f"{prefix}/1-{number}{suffix}" for number, suffix in enumerate(pictures)]
    assert [item.uri for item in report.saved] == [bucket.uri(name) for name in names]
    assert bucket.names(prefix) == names
    for name, (suffix, data) in zip(names, pictures.items(), strict=True):
        found = bucket.read(name)
        assert found.content == data
        assert found.content_type in (TYPES[suffix], None)
    assert bucket.conn_id not in str(report)
    assert bucket.conn_id not in "".join(r.getMessage() for r in caplog.records if r.name == "tests.storage")


def test_a_second_run_downloads_nothing(bucket, prefix, save, host, pictures):
    wanted = all_kinds(host, pictures)
    first = save(wanted, bucket.destination(prefix))
    asked = len(host.requests)
    again = save(wanted, bucket.destination(prefix))
    assert [item.uri for item in again.saved] == [item.uri for item in first.saved]
    assert [item.sha256 for item in again.saved] == [item.sha256 for item in first.saved]
    assert len(host.requests) == asked


def test_a_large_picture_is_whole_and_has_its_content_type(bucket, prefix, save, host, png):
    data = png + bytes(bucket.large)
    report = save([Picture("1", 0, host.give("/0", data))], bucket.destination(prefix))
    assert report.failed == ()
    found = bucket.read(f"{prefix}/1-0.png")
    assert found.content == data
    assert found.content_type in ("image/png", None)
    assert bucket.name == "file" or any(map(bucket.commits, bucket.proxy.requests))
    again = save([Picture("1", 0, host.give("/0", data))], bucket.destination(prefix))
    assert again.saved[0].sha256 == report.saved[0].sha256
    assert host.asked("/0") == 1
    assert bucket.unfinished(prefix) == []


def test_overwrite_replaces(bucket, prefix, save, host, pictures):
    save([Picture("1", 0, host.give("/0", pictures[".gif"]))], bucket.destination(prefix))
    wanted = [Picture("1", 0, host.give("/0", pictures[".png"]))]
    assert save(wanted, bucket.destination(prefix)).saved[0].uri.endswith(".gif")
    assert save(wanted, bucket.destination(prefix), overwrite=True).failed == ()
    assert bucket.names(prefix) == [f"{prefix}/1-0.png"]
    assert bucket.read(f"{prefix}/1-0.png").content == pictures[".png"]


def test_what_is_there_but_not_whole_is_told(bucket, prefix, save, host, png):
    bucket.write(f"{prefix}/1-0.png", png[:-5])
    (failed,) = save([Picture("1", 0, host.give("/0", png))], bucket.destination(prefix)).failed
    assert f"{bucket.uri(prefix)}/1-0.png is already there, but not as it should be" in failed.reason


@pytest.mark.parametrize("name", ["azure", "gcs"])  # the others are in tests/storage
def test_writers_of_one_manifest_lose_nothing_of_each_other(name, all_buckets, prefix):
    bucket = all_buckets[name]
    expected = written_at_once(bucket.uri(prefix), bucket.conn_id, writers=2)
    assert keys(read_manifest(bucket.destination(prefix))) == expected


def test_manifest_and_contact_sheet_show_in_a_browser(bucket, prefix, save, host, pictures, log):
    report = save(all_kinds(host, pictures), bucket.destination(prefix), with_thumbnails=True)
    uri = write_manifest(bucket.destination(prefix), report.saved, with_contact_sheet=True, log=log)
    assert uri == bucket.uri(f"{prefix}/manifest.json")
    assert bucket.read(f"{prefix}/manifest.json").content_type in ("application/json", None)
    page = bucket.read(f"{prefix}/index.html")
    assert page.content_type in ("text/html; charset=utf-8", None)
    assert bucket.conn_id.encode() not in page.content
    assert len(read_manifest(bucket.destination(prefix))) == 4


def test_ambient_credentials(remote, prefix, save, host, png, monkeypatch):
    for name, value in remote.environ().items():
        monkeypatch.setenv(name, value)
    _forget(monkeypatch)
    report = save([Picture("1", 0, host.give("/0", png))], remote.destination(prefix, None))
    assert report.failed == ()
    assert remote.read(f"{prefix}/1-0.png").content == png


def _forget(monkeypatch) -> None:
    """File systems are kept for the life of a process: let the next one be made anew."""
    try:
        from airflow.sdk.io import store
    except ImportError:
        from airflow.io import store
    monkeypatch.setattr(store, "_STORE_CACHE", {})


def test_a_bucket_that_is_not_there(remote, save, host, png):
    destination = remote.destination("x")
    nowhere = type(destination)(f"{remote.scheme}://nowhere/x", conn_id=remote.conn_id)
    with pytest.raises(
        DreamboothSaveError, match=f"destination {remote.scheme}://nowhere/x cannot be used"
    ) as caught:
        save([Picture("1", 0, host.give("/0", png))], nowhere)
    assert f"storage_conn_id '{remote.conn_id}': there is no bucket 'nowhere'" in str(caught.value)
    assert host.requests == []


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_refused(remote, prefix, save, host, png, status):
    refused(remote, status)
    with pytest.raises(DreamboothSaveError, match="cannot be used with storage_conn_id") as caught:
        save([Picture("1", 0, host.give("/0", png))], remote.destination(prefix))
    assert remote.conn_id in str(caught.value)
    assert host.requests == []


def refused(bucket, status: int) -> None:
    bodies = {
        "s3": b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
        "azure": b"<Error><Code>AuthenticationFailed</Code><Message>No.</Message></Error>",
        "gcs": encoded({"error": {"code": status, "message": "No access"}}).encode(),
    }
    bucket.proxy.fault = Fault(lambda request: True, status=status, body=bodies[bucket.name])


def test_a_new_google_bucket_that_the_account_may_not_look_at(gcs, save, host, png):
    """Who may only work with objects sees an empty bucket, which gcsfs takes for none."""
    gcs.client.post(f"{gcs.direct}/storage/v1/b?project=example", json={"name": "new"}).raise_for_status()
    gcs.proxy.fault = Fault(
        lambda request: request.target.partition("?")[0].endswith("/b/new"),
        status=403,
        body=encoded({"error": {"code": 403, "message": "storage.buckets.get denied"}}).encode(),
    )
    destination = type(gcs.destination("x"))("gs://new/x", conn_id=gcs.conn_id)
    assert save([Picture("1", 0, host.give("/0", png))], destination).failed == ()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_refused_upload_stops_the_rest(remote, prefix, save, host, png, overwrite):
    refused(remote, 403)
    everything = remote.proxy.fault
    remote.proxy.fault = Fault(remote.sends, status=403, body=everything.body)
    wanted = [Picture("1", number, host.give(f"/{number}", png)) for number in range(12)]
    report = save(wanted, remote.destination(prefix), max_parallel=2, overwrite=overwrite)
    assert len(report.failed) == 12
    assert "could not write" in report.failed[0].reason
    assert report.failed[-1].reason.startswith("not tried")
    assert len(host.requests) <= 4
    assert remote.names(prefix) == []
