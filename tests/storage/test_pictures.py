# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import hashlib
import struct
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.storage.pictures import (
    Incomplete,
    LocalPicture,
    NotAPicture,
    PictureInfo,
    examine,
    read_back,
)
from tests.storage.conftest import draw

# An EXIF block whose thumbnail ends like a whole JPEG does.
EXIF = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + draw("JPEG", (8, 8))
PICTURES = {
    "png": draw("PNG"),
    "jpeg": draw("JPEG"),
    "jpeg-progressive": draw("JPEG", progressive=True),
    "jpeg-restarts": draw("JPEG", (64, 64), restart_marker_blocks=1),
    "jpeg-thumbnail": draw("JPEG", exif=EXIF),
    "webp": draw("WEBP"),
    "webp-lossless": draw("WEBP", lossless=True),
    "webp-exif": draw("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "gif": draw("GIF"),
    "gif-comment": draw("GIF", comment=b"x" * 700),
}


def look(data: bytes) -> PictureInfo:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return examine(Path(file.name))


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES)
def test_a_whole_picture_is_known_with_its_size(data):
    info = look(data)
    assert (info.width, info.height) in ((48, 32), (64, 64))
    assert {
        "image/png": ".png",
        "image/jpeg": ".jpg",
        "image/webp": ".webp",
        "image/gif": ".gif",
    }[info.content_type] == info.suffix


@given(kind=st.sampled_from(sorted(PICTURES)), where=st.integers(min_value=0))
def test_a_picture_cut_at_any_byte_is_not_accepted(kind, where):
    data = PICTURES[kind]
    with pytest.raises((Incomplete, NotAPicture)):
        look(data[: where % len(data)])


@given(
    kind=st.sampled_from([kind for kind in sorted(PICTURES) if "png" in kind]),
    where=st.integers(min_value=0),
    flip=st.integers(1, 255),
)
def test_a_png_with_any_byte_changed_is_not_accepted(kind, where, flip):
    data = bytearray(PICTURES[kind])
    data[where % len(data)] ^= flip
    with pytest.raises((Incomplete, NotAPicture)):
        look(bytes(data))


@given(st.sampled_from(sorted(PICTURES)), st.binary(max_size=200), st.binary(max_size=3000))
def test_any_bytes_give_an_answer(kind, start, data):
    with contextlib.suppress(Incomplete, NotAPicture):
        look(PICTURES[kind][: len(start)] + data)


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES)
def test_bytes_after_the_picture_do_no_harm(data):
    assert look(data + b"\0trailing \xff\xd9") == look(data)


def test_pixels_may_end_a_block_in_the_middle_of_a_marker():
    head = b"\xff\xd8\xff\xc0\x00\x11\x08\0\x20\0\x30\x03\x01\x22\0\x02\x11\x01\x03\x11\x01\xff\xda\0\x02"
    for filling in range(65530, 65540):
        assert look(head + b"\x11" * filling + b"\xff\xd9").width == 48
        assert look(head + b"\x11" * filling + b"\xff\x00\xff\xff\xff\xd9").height == 32
        with pytest.raises(Incomplete):
            look(head + b"\x11" * filling + b"\xff\xff\xff")


@pytest.mark.parametrize(
    ("data", "told", "final"),
    [
        (b"<html>\n<h1>Not here</h1>", "text that begins with '<html> <h1>Not here</h1>'", False),
        (b'{"error": "https://x.y/z.png?sig=SECRET"}', "https://x.y/z.png?…", False),
        (b"%PDF-1.7\n\xe2\xe3\xcf\xd3\x01\x02\x03\x04\x05\x06", "application/pdf", True),
        (draw("BMP"), "bmp", True),
        (draw("TIFF"), "image/tiff", True),
        (bytes(range(128, 256)) * 4, "unknown kind", True),
    ],
)
def test_what_is_no_picture_is_named(data, told, final):
    with pytest.raises(NotAPicture) as caught:
        look(data)
    assert told in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert caught.value.final is final


def test_a_quote_is_short_and_printable():
    with pytest.raises(NotAPicture) as caught:
        look(b"<html>\x1b[31m\r\n" + b"a" * 3000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xd9",  # ends as it should, holds nothing
        b"\xff\xd8\xff\xe0\0\x01\xff\xd9",
        b"\xff\xd8\xff\xe0\0\x04ab\0\0\xff\xd9",
        b"GIF89a\x01\0\x01\0\0\0\0\x3b",
        b"GIF89a\x01\0\x01\0\0\0\0\x99\x3b",
        b"RIFF\x0c\0\0\0WEBPEXIF\0\0\0\0",
        b"RIFF\x0e\0\0\0WEBPVP8 \0\0\0\0\0\0",
    ],
)
def test_a_picture_without_pixels_or_order_is_not_accepted(data):
    with pytest.raises((Incomplete, NotAPicture)):
        look(data)


def test_a_png_of_no_width_is_not_accepted():
    data = bytearray(PICTURES["png"])
    data[16:20] = struct.pack(">I", 0)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(Incomplete, match="no width"):
        look(bytes(data))


def test_read_back_knows_bytes_and_sha256(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(PICTURES["png"])
    found = read_back(path, examine)
    assert found == LocalPicture(
        look(PICTURES["png"]), len(PICTURES["png"]), hashlib.sha256(PICTURES["png"]).hexdigest()
    )


def test_long_runs_of_fill_bytes_take_no_time(tmp_path):
    """A search for "0xff and more of them" once took time by the square of their number."""
    head = draw("JPEG")
    scan = head.index(b"\xff\xda")
    picture = tmp_path / "fill.jpg"
    picture.write_bytes(
        head[:scan] + b"\xff\xda\x00\x02" + (b"\xff" * ((1 << 16) - 1) + b"\x00") * 100 + b"\xff\xd9"
    )
    assert examine(picture).content_type == "image/jpeg"


def test_a_jpeg_of_endless_scans_is_given_up(tmp_path):
    """Each scan costs a read of 64 KiB: a small file of nothing else once took seconds."""
    head = draw("JPEG")
    scan = head.index(b"\xff\xda")
    picture = tmp_path / "scans.jpg"
    picture.write_bytes(head[:scan] + b"\xff\xda\x00\x02" * 1000 + b"\xff\xd9")
    assert examine(picture).content_type == "image/jpeg"
    picture.write_bytes(head[:scan] + b"\xff\xda\x00\x02" * 1001 + b"\xff\xd9")
    with pytest.raises(Incomplete, match="more than 1,000 scans"):
        examine(picture)


def png(*names: bytes) -> bytes:
    """Make a PNG of these parts, all in order by themselves."""
    size = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    parts = [(name, size if name == b"IHDR" else b"x" * 30) for name in names]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((b"IHDR", b"IEND"), "without pixels"),
        ((b"IEND",), "does not begin with its header"),
        ((b"IDAT", b"IHDR", b"IEND"), "does not begin with its header"),
    ],
)
def test_a_png_without_header_or_pixels_is_not_accepted(names, told):
    with pytest.raises(Incomplete, match=told):
        look(png(*names))
