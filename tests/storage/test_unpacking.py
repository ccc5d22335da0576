# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.storage.pictures import Incomplete, NotAPicture
from airflow_provider_dreambooth.storage.unpacking import (
    CHUNK,
    decode_base64,
    inflate,
    is_base64_picture,
    unpack,
)
from tests.storage.conftest import draw

PNG = draw("PNG")
TEXT = base64.b64encode(PNG)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(size=st.integers(1, 5000), width=st.integers(1, 100), padded=st.booleans(), url_safe=st.booleans())
def test_base64_in_any_layout(size, width, padded, url_safe):
    text = base64.urlsafe_b64encode(PNG) if url_safe else TEXT
    text = text if padded else text.rstrip(b"=")
    text = b"\r\n".join(pieces(text, width)) + b"\n"
    assert b"".join(unpack(pieces(text, size), "")) == PNG


@pytest.mark.parametrize(
    "before",
    [b"", b"\n  ", b"\xef\xbb\xbf", b"data:image/png;base64,", b"data:text/plain;charset=utf-8;base64,"],
)
def test_what_may_stand_before_base64(before):
    assert b"".join(unpack([before + TEXT], "")) == PNG


@given(st.binary(max_size=3000), st.integers(1, 999))
def test_base64_of_any_bytes(data, size):
    assert b"".join(decode_base64(pieces(base64.b64encode(data), size))) == data


@pytest.mark.parametrize(
    "text", [TEXT + b"=" + TEXT, TEXT[:-9] + b"!" + TEXT[-8:], TEXT + b"A", TEXT + b"===="]
)
def test_damaged_base64(text):
    with pytest.raises(Incomplete, match="base64"):
        list(unpack(pieces(text, 7), ""))


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_compressed(pack):
    packed = pack(PNG)
    encoding = "gzip" if pack is gzip.compress else "deflate"
    assert b"".join(unpack(pieces(packed, 11), encoding)) == PNG
    assert b"".join(unpack([pack(TEXT)], encoding)) == PNG
    for cut in (1, len(packed) // 2, len(packed) - 1):
        with pytest.raises(Incomplete):
            list(unpack([packed[:cut]], encoding))
    with pytest.raises(Incomplete, match="damaged"):
        list(unpack([PNG], encoding))


def test_a_compression_bomb_comes_out_chunk_by_chunk():
    bomb = gzip.compress(bytes(64 << 20))
    sizes = [len(piece) for piece in inflate([bomb])]
    assert max(sizes) <= CHUNK
    assert sum(sizes) == 64 << 20


def test_a_header_that_is_no_compression_is_passed_over():
    assert b"".join(unpack([PNG], "aws-chunked")) == PNG


def test_what_is_no_picture_is_known_before_the_rest_is_asked_for():
    def endless():
        while True:
            yield b"<html>" * 100
            asked.append(1)

    asked: list[int] = []
    with pytest.raises(NotAPicture, match="html"):
        list(unpack(endless(), ""))
    assert len(asked) < 10


@pytest.mark.parametrize("data", [b"", b"iVBO", b"aGVsbG8gd29ybGQ" * 20])
def test_neither_picture_nor_base64_of_one(data):
    with pytest.raises((Incomplete, NotAPicture)):
        list(unpack([data], ""))


@pytest.mark.parametrize("blanks", [b"\n", b" ", b"data:"])
def test_a_megabyte_of_blanks_is_read_at_once(blanks):
    """A regular expression that began with blanks once took minutes over them."""
    assert not is_base64_picture(blanks * (4 << 20))
