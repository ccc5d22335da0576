# SPDX-License-Identifier: Apache-2.0
"""What a person should look at: pictures that are whole, but may not be what was asked for."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from airflow_provider_dreambooth.storage.records import SavedPicture

_FEW = 20
_MOST_OTHERS = 10
"""A thousand copies would name each other a million times."""


def read_blocked(blocked_sha256: str | Iterable[str]) -> tuple[str, ...]:
    """
    Read what a DAG's author lists, in lower case.

    :raises ValueError: if something in it is no SHA-256.
    """
    listed = [blocked_sha256] if isinstance(blocked_sha256, str) else blocked_sha256
    found = tuple(str(each).lower() for each in listed)
    if wrong := [each for each in found if not re.fullmatch("[0-9a-f]{64}", each)]:
        raise ValueError(f"blocked_sha256 holds {wrong[0]!r}; give the 64 hexadecimal digits of a SHA-256")
    return found


def compared(saved: Sequence[SavedPicture], blocked_sha256: Collection[str]) -> list[SavedPicture]:
    """
    Note which pictures have the same bytes, and which are known placeholders.

    :param blocked_sha256: from :func:`read_blocked`: what the service gives instead of a picture.
    """
    alike: dict[str, list[SavedPicture]] = defaultdict(list)
    for picture in dict.fromkeys(saved):
        alike[picture.sha256].append(picture)
    return [
        replace(
            picture,
            blocked=True if picture.sha256 in blocked_sha256 else None,
            same_bytes_as=_others(picture, alike[picture.sha256]) or None,
        )
        for picture in saved
    ]


def _others(picture: SavedPicture, alike: Sequence[SavedPicture]) -> tuple[dict[str, Any], ...]:
    keys = ((one.request_id, one.index) for one in alike)
    others = (key for key in keys if key != (picture.request_id, picture.index))
    return tuple({"request_id": rid, "index": index} for rid, index in islice(others, _MOST_OTHERS))


def tell(saved: Sequence[SavedPicture], log: logging.Logger | Any) -> None:
    """Warn of what is flagged: a line a picture, up to twenty, then how many more there are."""
    flagged = {picture: found for picture in saved if (found := _flags(picture))}
    for picture, found in list(flagged.items())[:_FEW]:
        log.warning(
            "Picture %s of request %s (%s) is saved, but: %s",
            picture.index,
            picture.request_id,
            picture.uri,
            "; ".join(found),
        )
    if len(flagged) > _FEW:
        log.warning("%s more pictures are flagged, see the manifest", len(flagged) - _FEW)


def _flags(picture: SavedPicture) -> list[str]:
    found = []
    if picture.nsfw_content_detected:
        found.append("the service flagged it as unsafe")
    if picture.blocked:
        found.append("it is one of 'blocked_sha256'")
    if picture.blank:
        found.append("it seems to be blank")
    if picture.same_bytes_as:
        others = ", ".join(f"{one['request_id']}-{one['index']}" for one in picture.same_bytes_as[:3])
        found.append(f"it has the same bytes as {others}{' …' if len(picture.same_bytes_as) > 3 else ''}")
    return found
