# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a reply to the bytes of a picture, chunk by chunk: gzip, base64, neither or both."""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from airflow_provider_dreambooth.storage.pictures import HEAD, Incomplete, content_type_of, refuse

CHUNK = 1 << 20

_DATA_URL = re.compile(rb"data:[\w/+.;=-]{0,100},", re.ASCII)
_WHITESPACE = b" \t\r\n\v\f"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def unpack(chunks: Iterable[bytes], content_encoding: str) -> Iterator[bytes]:
    """
    Give the picture's own bytes. What they are decides about base64, not a suffix or ``Content-Type``.

    :param content_encoding: the header of this name; one that is no compression is passed over.
    :raises NotAPicture: from the first bytes, before the rest is asked for.
    :raises Incomplete: if the packing ends too early or is damaged.
    """
    if content_encoding.strip().lower() in ("gzip", "x-gzip", "deflate"):
        chunks = inflate(chunks)
    rest = iter(chunks)
    head = b""
    for chunk in rest:
        head += chunk
        if len(head) >= HEAD:
            break
    if not head:
        raise Incomplete("it is empty")
    whole = chain((head,), rest)
    if content_type_of(head):
        return whole
    if is_base64_picture(head):
        return decode_base64(whole)
    raise refuse(head)


def inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Undo gzip or deflate; never more than a chunk at a time, however much a byte expands to."""
    inflater = zlib.decompressobj(wbits=47)
    try:
        for chunk in chunks:
            packed = chunk
            while packed and not inflater.eof:
                yield inflater.decompress(packed, CHUNK)
                packed = inflater.unconsumed_tail
        yield inflater.flush()
    except zlib.error:
        raise Incomplete("its compression is damaged") from None
    if not inflater.eof:
        raise Incomplete("its compressed data end too early")


def is_base64_picture(head: bytes) -> bool:
    """Whether text is a picture in base64, with or without ``data:image/png;base64,`` before it."""
    text = _without_prefix(head).translate(_URL_SAFE, _WHITESPACE)[:64]
    try:
        start = binascii.a2b_base64(text[: len(text) // 4 * 4])
    except binascii.Error:
        return False
    return content_type_of(start) is not None and re.match(rb"[A-Za-z0-9+/]{16}", text) is not None


def _without_prefix(text: bytes) -> bytes:
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip(_WHITESPACE)
    # Matched at the start alone: searched for, a megabyte of blanks took minutes.
    found = _DATA_URL.match(text)
    return text[found.end() :] if found else text


def decode_base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decode base64 text, of either alphabet, with or without padding and line breaks."""
    rest = iter(chunks)
    first = _without_prefix(next(rest, b""))  # holds the whole head
    text = b""
    try:
        for chunk in chain((first,), rest):
            text += chunk.translate(_URL_SAFE, _WHITESPACE)
            count = max(0, len(text) - 1) // 4 * 4  # the last four may be padded: they wait for the end
            yield binascii.a2b_base64(text[:count], strict_mode=True)
            text = text[count:]
        yield binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        raise Incomplete("its base64 text is damaged") from None
