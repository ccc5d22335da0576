# SPDX-License-Identifier: Apache-2.0
"""What is sent: the paths and bodies of the dialects v3, v4 and v6, as data."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

MAX_REDIRECTS = 3
MAX_REPLY_BYTES = 64 << 10
"""Four links and their meta take a few KiB, and reading a long hostile reply would stall the loop."""
MAX_MODEL_LIST_BYTES = 64 << 20
"""The model list is the one long reply: thousands of models, some hundred bytes each."""


@dataclass(frozen=True)
class Call:
    """
    One request: the path below the base URL, and the body beside the key.

    :param least_timeout: seconds to wait for the reply if the connection would wait less.
    :param billed: sent once more, it may be paid once more.
    """

    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    max_reply_bytes: int = MAX_REPLY_BYTES
    least_timeout: float = 0.0
    billed: bool = False

    def encode(self, api_key: str) -> bytes:
        """Make the JSON body. It holds the key: never log it."""
        return json.dumps({"key": api_key, **self.body}).encode()


FETCHES: Mapping[str, Callable[[str], Call]] = MappingProxyType(
    {
        "v3": lambda request_id: Call(f"/api/v3/dreambooth/fetch/{request_id}"),
        "v4": lambda request_id: Call("/api/v4/dreambooth/fetch", {"request_id": request_id}),
        # Documented with the id in the body; `fetch_result` and every SDK put it into the path.
        "v6": lambda request_id: Call(f"/api/v6/images/fetch/{request_id}"),
    }
)
"""How each dialect asks for the pictures of a request. Ids are one number space over all of them."""

SYSTEM_LOAD = Call("/api/v3/system_load")
MODEL_LIST = Call("/api/v4/dreambooth/model_list", max_reply_bytes=MAX_MODEL_LIST_BYTES)


def redirect_target(
    url: str, http_status: int, location: str | None, trusted_hosts: Collection[str]
) -> str | None:
    """
    Where the same POST may be sent again, or None if the redirect must not be followed.

    The key is in the body, so only the host that was asked and hosts the connection trusts get it,
    never over plain HTTP where HTTPS was asked. A 303 asks for a GET, which the service does not
    know, and is not followed.
    """
    if http_status not in (301, 302, 307, 308) or not location:
        return None
    try:
        target = urlsplit(urljoin(url, location))
        asked = urlsplit(url)
        ports = _port(asked), _port(target)
    except ValueError:
        return None
    if target.username or target.password or target.scheme not in ("http", "https"):
        return None
    if asked.scheme == "https" and target.scheme != "https":
        return None
    same_place = target.hostname == asked.hostname and (ports[0] == ports[1] or ports == (80, 443))
    if not (same_place or target.hostname in trusted_hosts):
        return None
    return target.geturl()


def _port(parts: SplitResult) -> int | None:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
