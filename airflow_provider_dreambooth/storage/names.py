# SPDX-License-Identifier: Apache-2.0
"""What the saved objects are called: checked in whole before anything is downloaded."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Protocol

FIELDS = ("request_id", "index")
MAX_PART = 200
"""Bytes of a folder's or picture's name: the suffix, and a temporary file's, must still fit into 255."""
MAX_NAME = 900

_FORMAT = re.compile(r"0?[0-9]{0,2}d?", re.ASCII)
_AMBIGUOUS = re.compile(r"[\\?#*]")  # a separator elsewhere; query, generation and glob in object URLs


class Numbered(Protocol):
    """What a name is made of."""

    @property
    def request_id(self) -> str:
        """Of the request."""

    @property
    def index(self) -> int:
        """Of the picture among those of its request, from 0."""


def picture_names(pictures: Sequence[Numbered], pattern: str) -> list[str]:
    """
    Name each picture, relative to the destination and without suffix.

    :param pattern: with the fields ``{request_id}`` and ``{index}``, as ``str.format`` takes them
        (``{index:03}``); ``/`` makes folders.
    :raises ValueError: naming the pattern, if it cannot be used, or if a name would be no name, would lie
        outside the destination or would be given twice.
    """
    _check_pattern(pattern)
    taken: dict[str, Numbered] = {}
    for picture in pictures:
        name = pattern.format(request_id=picture.request_id, index=picture.index)
        if reason := _objection(name):
            raise ValueError(f"name pattern {pattern!r} gives {name[:200]!r}, {reason}")
        if (other := taken.setdefault(name, picture)) is not picture:
            raise ValueError(
                f"name pattern {pattern!r} gives {name!r} to two pictures: index {other.index} of request "
                f"{other.request_id} and index {picture.index} of request {picture.request_id}"
            )
    return list(taken)


def check_name(name: str, what: str) -> None:
    """
    Check the name of one object, relative to the destination.

    :raises ValueError: if it is no name or would lie outside the destination.
    """
    if reason := _objection(name):
        raise ValueError(f"{what} is {name[:200]!r}, {reason}")


def _check_pattern(pattern: str) -> None:
    try:
        fields = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise ValueError(f"name pattern {pattern!r} cannot be read: {error}") from None
    for _, field, spec, conversion in fields:
        if field is None:
            continue
        if field not in FIELDS:
            known = " and ".join(f"{{{one}}}" for one in FIELDS)
            raise ValueError(f"name pattern {pattern!r} has the unknown field {{{field}}}; known are {known}")
        if conversion or (spec and not (field == "index" and _FORMAT.fullmatch(spec))):
            raise ValueError(
                f"name pattern {pattern!r} formats {{{field}}} in a way that is not accepted; "
                "{index:03} is the form that is"
            )


def _objection(name: str) -> str | None:
    if not name.strip():
        return "which is empty"
    parts = name.split("/")
    if any(part in ("", ".", "..") or part != part.strip() for part in parts):
        return "which is no plain relative name: no leading or double '/', no '.' or '..', no blank at an end"
    if not name.isprintable():
        return "which holds characters that cannot be printed"
    if found := _AMBIGUOUS.search(name):
        return f"which holds {found.group()!r}"
    try:
        longest, length = max(len(part.encode()) for part in parts), len(name.encode())
    except UnicodeEncodeError:
        return "which is no valid text"
    if longest > MAX_PART or length > MAX_NAME:
        return f"which is longer than {MAX_PART} bytes between slashes or {MAX_NAME} in all"
    return None
