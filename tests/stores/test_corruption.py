# SPDX-License-Identifier: Apache-2.0
"""Bytes that arrive changed at a store: a checksum tells, and nothing is left of them."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from airflow_provider_dreambooth.storage import Picture
from tests.stores.proxy import Fault

MIDDLE = 0x10_0000


def is_large(bucket):
    return lambda request: bucket.sends(request) and request.length > 2 * MIDDLE


@pytest.fixture(params=["azure", "gcs"])
def checking(request, all_buckets):
    """The stores that compare checksums, or whose client does; moto, which plays S3, does not."""
    bucket = all_buckets[request.param]
    bucket.proxy.fault = None
    yield bucket
    bucket.proxy.fault = None


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_picture_that_arrives_changed_is_not_saved(checking, prefix, save, host, png, size):
    data = png + bytes(checking.large if size == "large" else 0)
    # Of what gcsfs sends in one request the picture is the last part, before the boundary.
    flip = MIDDLE if size == "large" else -30
    broken = is_large(checking) if size == "large" else checking.sends
    checking.proxy.fault = fault = Fault(broken, flip=flip)
    wanted = [Picture("1", 0, host.give("/0", data))]
    (failed,) = save(wanted, checking.destination(prefix)).failed
    assert fault.met.is_set()
    assert failed.reason.startswith(f"could not write {len(data):,} bytes to")
    assert checking.names(prefix) == []
    checking.proxy.fault = None
    assert save(wanted, checking.destination(prefix)).failed == ()
    assert checking.read(f"{prefix}/1-0.png").content == data


@pytest.mark.parametrize("size", ["small", "large"])
def test_s3_is_told_a_checksum_of_each_request(s3, prefix, save, host, png, size):
    data = png + bytes(s3.large if size == "large" else 0)
    save([Picture("1", 0, host.give("/0", data))], s3.destination(prefix))
    sent = [request.headers for request in s3.proxy.requests if s3.sends(request)]
    assert len(sent) == (3 if size == "large" else 1)
    for headers in sent:
        assert "x-amz-checksum-crc32" in headers or headers.get("x-amz-trailer") == "x-amz-checksum-crc32"
    if size == "small":  # over plain HTTP the signature holds for the bytes too
        assert sent[0]["x-amz-content-sha256"] == hashlib.sha256(data).hexdigest()


def test_azure_is_told_the_md5_of_each_request(azure, prefix, save, host, png):
    save([Picture("1", 0, host.give("/0", png))], azure.destination(prefix))
    (sent,) = [request.headers for request in azure.proxy.requests if azure.sends(request)]
    assert sent["content-md5"] == base64.b64encode(hashlib.md5(png).digest()).decode()


def test_gcsfs_does_not_cut_a_picture_off_at_its_boundary(gcs, prefix, save, host, png):
    evil = png[:-12] + _chunk(b"teXt", b"a\n--==0==--\nb") + png[-12:]
    (failed,) = save([Picture("1", 0, host.give("/0", evil))], gcs.destination(prefix)).failed
    assert "it contains the boundary between its parts" in failed.reason
    assert gcs.names(prefix) == []


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
