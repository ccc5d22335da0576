# SPDX-License-Identifier: Apache-2.0
"""
What bytes are: which kind of picture, whether all of it is there, and how large it is in pixels.

A picture is not decoded. Its parts are walked from the first to the one that ends it, as their headers
announce them, so a file cut at whichever byte is not taken for whole. PNG's checksums are compared too.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import imagesize  # type: ignore[import-untyped]
import puremagic  # of the well-kept ones, the one that is pure Python and also names what is no picture

from airflow_provider_dreambooth.storage.links import without_queries

HEAD = 4096
"""Bytes from the beginning of a file that are enough to tell its kind."""

_SIGNATURE = 16
"""Bytes that are enough for the kinds accepted. Pictures of one service begin alike: the library, which
compares them with every signature it knows, is asked once for all of them."""
_CHUNK = 1 << 18
_MOST_SCANS = 1000
"""Of a JPEG: progressive ones have about ten. Each takes a read of a chunk, however few bytes it has."""
# The most bytes a pixel, and beside them, that a plain colour takes in each kind. A drawn scene takes 1.1
# (PNG, JPEG), 1.6 (WEBP) or ten times (GIF) as much at least, photographs far more.
_BLANK = {
    "image/png": (0.006, 1000),
    "image/jpeg": (0.016, 1000),
    "image/webp": (0.002, 300),
    "image/gif": (0.002, 1000),
}
_LEAST_PIXELS = 256 * 256
"""The headers of smaller ones outweigh what they show."""
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif"}
SUFFIXES = tuple(_SUFFIXES.values())


class NotAPicture(Exception):
    """Bytes of another kind. ``final``: asking again would give the same."""

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.final = final


class Incomplete(Exception):
    """A picture that ends too early or does not hang together."""


@dataclass(frozen=True)
class PictureInfo:
    """
    What a whole picture is; ``width`` and ``height`` in pixels, as stored.

    ``blank``: it shows nothing, or most likely so.
    """

    content_type: str
    suffix: str
    width: int
    height: int
    blank: bool = False


@dataclass(frozen=True)
class LocalPicture:
    """A whole picture in a local file."""

    info: PictureInfo
    bytes: int
    sha256: str


def content_type_of(head: bytes) -> str | None:
    """Tell the kind of a picture from its first bytes; None if it is none of those accepted."""
    return _content_type_of(head[:_SIGNATURE])


@functools.lru_cache
def _content_type_of(start: bytes) -> str | None:
    try:
        found = {match.mime_type for match in puremagic.magic_string(start)}
    except (puremagic.PureError, ValueError):
        return None
    return next((kind for kind in _SUFFIXES if kind in found), None)


def refuse(head: bytes) -> NotAPicture:
    """Say what the bytes are instead of a picture, quoting a short, harmless piece if they are text."""
    text = head[:400].decode("utf-8", "replace")
    strange = sum(not (char.isprintable() or char.isspace()) or char == "\ufffd" for char in text)
    if strange * 20 <= len(text):
        quoted = without_queries(" ".join("".join(c if c.isprintable() else " " for c in text).split()))
        return NotAPicture(f"it is no picture but text that begins with {quoted[:80]!r}", final=False)
    try:
        names = [match.mime_type for match in puremagic.magic_string(head[:HEAD])]
    except (puremagic.PureError, ValueError):
        names = []
    kind = next((name for name in names if name), "data of an unknown kind")
    return NotAPicture(f"it is no PNG, JPEG, WEBP or GIF picture but {kind}", final=True)


def examine(path: Path) -> PictureInfo:
    """
    Tell what a file is.

    :raises NotAPicture: if it is of another kind.
    :raises Incomplete: if it is a picture, but not a whole one.
    """
    with path.open("rb", buffering=_CHUNK) as file:
        head = file.read(HEAD)
        kind = content_type_of(head)
        if kind is None:
            raise refuse(head)
        file.seek(0)
        try:
            _WALKS[kind](file)
        except EOFError:
            size = path.stat().st_size
            raise Incomplete(f"it is an {kind} that ends too early, after {size:,} bytes") from None
        file.seek(0)
        width, height = imagesize.get(file, exif_rotation=False)
    if not (width > 0 and height > 0):
        raise Incomplete(f"it is an {kind} that tells no width and height")
    return PictureInfo(
        kind,
        _SUFFIXES[kind],
        int(width),
        int(height),
        blank=_seems_blank(kind, width * height, path.stat().st_size),
    )


def read_back(path: Path, check: Callable[[Path], PictureInfo]) -> LocalPicture:
    """
    Examine a file whose bytes were not seen on the way.

    :param check: :func:`examine`, or what does more.
    :raises NotAPicture: as ``check``.
    :raises Incomplete: as ``check``.
    """
    info = check(path)
    with path.open("rb") as file:
        return LocalPicture(info, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _seems_blank(kind: str, pixels: int, size: int) -> bool:
    """Tell by what a pixel takes, which is next to nothing in one colour."""
    each, beside = _BLANK[kind]
    return pixels >= _LEAST_PIXELS and size < beside + pixels * each


def _take(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _skip(file: BinaryIO, count: int) -> None:
    if count:
        file.seek(count - 1, os.SEEK_CUR)
        _take(file, 1)


def _walk_png(file: BinaryIO) -> None:
    _skip(file, 8)
    first, pixels = True, False
    while True:
        length, name = struct.unpack(">I4s", _take(file, 8))
        if first and name != b"IHDR":
            raise Incomplete("it is an image/png that does not begin with its header")
        first, pixels = False, pixels or name == b"IDAT"
        checksum = zlib.crc32(name)
        while length:
            part = _take(file, min(length, _CHUNK))
            checksum = zlib.crc32(part, checksum)
            length -= len(part)
        if struct.unpack(">I", _take(file, 4))[0] != checksum:
            raise Incomplete("it is an image/png whose checksums do not match: some bytes are wrong")
        if name == b"IEND":
            if not pixels:
                raise Incomplete("it is an image/png without pixels")
            return


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # one 0xff: a run of them takes linear time


def _walk_jpeg(file: BinaryIO) -> None:
    _skip(file, 2)
    scans = 0
    while True:
        marker = _take(file, 1)
        if marker != b"\xff":
            raise Incomplete("it is an image/jpeg whose parts do not follow each other")
        while marker == b"\xff":  # any number of fill bytes
            marker = _take(file, 1)
        if marker == b"\xd9":
            if not scans:
                raise Incomplete("it is an image/jpeg without pixels")
            return
        if marker == b"\x01" or b"\xd0" <= marker <= b"\xd7":  # these have no length
            continue
        (length,) = struct.unpack(">H", _take(file, 2))
        if length < 2:
            raise Incomplete("it is an image/jpeg whose parts do not follow each other")
        _skip(file, length - 2)
        if marker == b"\xda":
            scans += 1
            if scans > _MOST_SCANS:
                raise Incomplete(f"it is an image/jpeg of more than {_MOST_SCANS:,} scans")
            _skip_jpeg_pixels(file)


def _skip_jpeg_pixels(file: BinaryIO) -> None:
    """Move to the next marker: in the pixels' code, 0xff is followed by 0x00 or a restart number."""
    while True:
        start = file.tell()
        block = file.read(_CHUNK)
        if len(block) < 2:
            raise EOFError
        if found := _MARKER.search(block):
            file.seek(start + found.start())
            return
        if block.endswith(b"\xff"):  # it may begin a marker that the next block ends
            file.seek(-1, os.SEEK_CUR)


def _walk_webp(file: BinaryIO) -> None:
    left = struct.unpack("<4sI", _take(file, 8))[1] - 4
    _skip(file, 4)
    pixels = False
    while left >= 8:
        name, length = struct.unpack("<4sI", _take(file, 8))
        length += length % 2
        _skip(file, length)
        left -= 8 + length
        pixels = pixels or name in (b"VP8 ", b"VP8L", b"ANMF")
    if left or not pixels:
        raise Incomplete("it is an image/webp whose parts do not add up to its length")


def _walk_gif(file: BinaryIO) -> None:
    _skip(file, 10)
    _skip_gif_colours(file, _take(file, 3)[0])
    pixels = False
    while (introducer := _take(file, 1)) != b"\x3b":
        if introducer == b"\x2c":
            pixels = True
            _skip_gif_colours(file, _take(file, 9)[8])
        elif introducer != b"\x21":
            raise Incomplete("it is an image/gif whose parts do not follow each other")
        _skip(file, 1)  # the code size of pixels, the label of an extension
        while length := _take(file, 1)[0]:
            _skip(file, length)
    if not pixels:
        raise Incomplete("it is an image/gif without pixels")


def _skip_gif_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        _skip(file, 3 << (flags & 7) + 1)


_WALKS = {"image/png": _walk_png, "image/jpeg": _walk_jpeg, "image/webp": _walk_webp, "image/gif": _walk_gif}
