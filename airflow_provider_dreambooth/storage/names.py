# SPDX-License-Identifier: Apache-2.0
"""What the saved objects are called: checked in whole before anything is downloaded."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Protocol

from airflow_provider_dreambooth.storage.provenance import Provenance

FIELDS = ("request_id", "index", "suffix", "date", "sha256", "model")
UNKNOWN_MODEL = "unknown-model"
MAX_PART = 200
"""Bytes of a folder's or picture's name: the suffix, and a temporary file's, must still fit into 255."""
MAX_NAME = 900

_SUFFIX = "{suffix}"
_SHA256 = "\0"  # stands in a name until it is known; no pattern may hold it
_NAMED_SUFFIX = re.compile(r"\.(png|jpe?g|webp|gif)$", re.IGNORECASE)
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_ID, _MODEL = "\x01", "\x02"  # stand for texts that may hold "-" and "_"; no pattern may hold them
_OWN_NAME = re.compile(r"([^\x01\x02]*[^\x01\x02A-Za-z0-9])?\x01([^\x01\x02A-Za-z0-9][^\x01\x02]*)?")
_FORMAT = re.compile(r"(0[0-9]{0,2})?d?", re.ASCII)
_AMBIGUOUS = re.compile(r"[\\?#*]")  # a separator elsewhere; query, generation and glob in object URLs


class Nameable(Protocol):
    """What a name is made of."""

    @property
    def request_id(self) -> str:
        """Of the request."""

    @property
    def index(self) -> int:
        """Of the picture among those of its request, from 0."""

    @property
    def provenance(self) -> Provenance:
        """How it was made."""


def picture_names(pictures: Sequence[Nameable], pattern: str, *, date: str = "") -> list[str]:
    """
    Name each picture, relative to the destination and without suffix.

    ``{sha256}`` stays in the name: see :func:`with_sha256`. Pictures that differ in nothing else have
    different bytes, or else are the same object, so that they are no clash.

    :param pattern: with fields as ``str.format`` takes them (``{index:03}``); ``/`` makes folders.
    :param date: of the run, ``YYYY-MM-DD``.
    :raises ValueError: naming the pattern, if it cannot be used, or if a name would be no name, would lie
        outside the destination or would be given twice.
    """
    _check_pattern(pattern)
    names: list[str] = []
    taken: dict[str, Nameable] = {}
    for picture in pictures:
        name = pattern.removesuffix(_SUFFIX).format(
            request_id=picture.request_id,
            index=picture.index,
            date=date,
            sha256=_SHA256,
            model=_UNFIT.sub("-", picture.provenance.model or "").strip(".")[:100] or UNKNOWN_MODEL,
        )
        shown = with_sha256(name, "0" * 64)
        if reason := _objection(shown):
            raise ValueError(f"name pattern {pattern!r} gives {shown[:200]!r}, {reason}")
        names.append(name)
        if not needs_sha256(name) and (other := taken.setdefault(name, picture)) is not picture:
            raise ValueError(
                f"name pattern {pattern!r} gives {name!r} to two pictures: index {other.index} of request "
                f"{other.request_id} and index {picture.index} of request {picture.request_id}; "
                "a name such as {request_id}-{index} keeps them apart"
            )
    return names


def tells_the_request(pattern: str) -> bool:
    """
    Tell whether pictures of different requests never have the same name, as with ``{request_id}-{index}``.

    So it is if, between slashes, neither a model nor the id once more is beside the id: all else has no
    ``-`` and ``_``, or as many each time, so that they tell where the id begins and ends.

    :param pattern: one that :func:`picture_names` takes.
    """
    kinds = {"request_id": _ID, "model": _MODEL, "index": 0, "date": "0", "sha256": "0"}
    name = pattern.removesuffix(_SUFFIX).format(**kinds)
    return any(_OWN_NAME.fullmatch(part) for part in name.split("/"))


def needs_sha256(name: str) -> bool:
    """Tell whether a name of :func:`picture_names` is known only once the picture is."""
    return _SHA256 in name


def with_sha256(name: str, sha256: str) -> str:
    """Complete such a name."""
    return name.replace(_SHA256, sha256)


def _check_pattern(pattern: str) -> None:
    try:
        fields = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise ValueError(f"name pattern {pattern!r} cannot be read: {error}") from None
    if _SHA256 in pattern:
        raise ValueError(f"name pattern {pattern!r} holds characters that cannot be printed")
    if _SUFFIX in pattern.removesuffix(_SUFFIX):
        raise ValueError(f"name pattern {pattern!r} has {_SUFFIX} elsewhere than at its end")
    if found := _NAMED_SUFFIX.search(pattern):
        raise ValueError(
            f"name pattern {pattern!r} ends in {found.group()!r}, but the true suffix is added to each name: "
            f"leave it out, or write {_SUFFIX}"
        )
    for _, field, spec, conversion in fields:
        if field is None:
            continue
        if field not in FIELDS:
            known = ", ".join(f"{{{one}}}" for one in FIELDS)
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
