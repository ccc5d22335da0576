# SPDX-License-Identifier: Apache-2.0
"""Which request a reply names: its id stands in several places, and others put ids of their own beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_dreambooth.api import wording

# Ids are integers at v3/v4 and may be words such as "abc123-def456" in webhooks. The older
# dialect puts them into the path, so nothing that could change a path is let through.
REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", re.ASCII)

# 0 is nobody's id: it stands where a writer has none.
_TO_FETCH = re.compile(rb'/fetch\\?/([1-9][0-9]{0,19})(?:\\?/)?["?#]')
_ID = re.compile(rb'"(?:request_)?id"\s*:\s*"?([1-9][0-9]{0,19})(?:\.0+)?["\s,}]')


def read_id(value: object) -> str | None:
    """Read a request id, which is a number (some write 77.0) or a text; None for anything else."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    return wording.one_line(value, 128) or None


def id_of(document: Mapping[str, Any]) -> str | None:
    """
    Find the id of the request that a reply is about.

    A number is the service's own, and so is the one in the address at which to fetch it; a word beside them
    may be a gateway's name for the call.
    """
    given = [read_id(document.get(name)) for name in ("id", "request_id")]
    ids = [one for one in given if one and one != "0" and REQUEST_ID.fullmatch(one)]
    number = next(filter(str.isdecimal, ids), None)
    return number or id_in_link(document.get("fetch_result")) or next(iter(ids), None)


def id_in_link(link: object) -> str | None:
    """Find the id in an address at which a request is fetched."""
    found = _TO_FETCH.search(f'{link}"'.encode("utf-8", "replace")) if isinstance(link, str) else None
    return found[1].decode() if found else None


def id_within(body: bytes) -> str | None:
    """Find a number that is an id in a reply that broke off, or that has it in an unusual place."""
    found = _TO_FETCH.search(body) or _ID.search(body)
    return found[1].decode() if found else None
