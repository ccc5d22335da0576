# SPDX-License-Identifier: Apache-2.0
"""From an Airflow connection to a checked :class:`ClientConfig`, on a worker and in the triggerer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_dreambooth.client.config import ClientConfig, from_fields
from airflow_provider_dreambooth.exceptions import DreamboothConnectionError

TTL = 60.0
"""Seconds for which the triggerer keeps a connection: a look-up there costs 160-330 ms, one at a time."""
RECHECK = 5.0
"""Seconds between two look-ups of what is refused or unusable: a thousand triggers share one."""


def read_connection(conn_id: str, get_connection: Callable[[str], Any]) -> ClientConfig:
    """
    Look an Airflow connection up and check it.

    :raises DreamboothConnectionError: if it is not defined, has no key, or holds a bad value.
    """
    try:
        return _checked(conn_id, get_connection(conn_id))
    except AirflowNotFoundException as error:
        raise _not_defined(conn_id) from error


@dataclass
class _Known:
    """What this event loop knows of one connection: what it is, or why it cannot be used."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    found: ClientConfig | DreamboothConnectionError | None = None
    read_at: float = float("-inf")
    read_after_refusal_at: float = float("-inf")


_known: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Known]] = WeakKeyDictionary()


async def shared_config(conn_id: str, *, refused: ClientConfig | None = None) -> ClientConfig:
    """
    Return a connection's configuration with one look-up for all triggers of this process.

    :param refused: a configuration whose key the service has just refused: it is looked up anew, once
        for everybody who was refused with it, in case the key was changed.
    :raises DreamboothConnectionError: as :func:`read_connection`.
    """
    known = _known.setdefault(asyncio.get_running_loop(), {}).setdefault(conn_id, _Known())
    async with known.lock:
        now = time.monotonic()
        if isinstance(known.found, DreamboothConnectionError):
            usable = now - known.read_at < RECHECK
        elif refused is None:
            usable = now - known.read_at < TTL
        else:
            usable = known.found != refused or now - known.read_after_refusal_at < RECHECK
        if known.found is None or not usable:
            known.found = await _look_up(conn_id)
            known.read_at = time.monotonic()
            if refused is not None:
                known.read_after_refusal_at = known.read_at
        if isinstance(known.found, DreamboothConnectionError):
            raise DreamboothConnectionError(str(known.found))
        return known.found


async def _look_up(conn_id: str) -> ClientConfig | DreamboothConnectionError:
    from airflow.providers.common.compat.connection import get_async_connection

    try:
        return _checked(conn_id, await get_async_connection(conn_id))
    except AirflowNotFoundException:
        return _not_defined(conn_id)
    except DreamboothConnectionError as error:
        return error


def _checked(conn_id: str, conn: Any) -> ClientConfig:
    if conn.conn_type not in (None, "", "dreambooth"):  # the password of something else is nobody's business
        raise DreamboothConnectionError(
            f"Connection {conn_id!r} is of type {conn.conn_type!r}, not 'dreambooth'."
        )
    # Not `conn.extra_dejson`: it takes broken JSON for {}, and in the triggerer it may block the event loop.
    try:
        extra = json.loads(conn.extra) if conn.extra and conn.extra.strip() else {}
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise DreamboothConnectionError(f"Connection {conn_id!r}: its extra is no JSON object.")
    try:
        return from_fields(host=conn.host, port=conn.port, password=conn.password, extra=extra)
    except ValueError as error:
        raise DreamboothConnectionError(f"Connection {conn_id!r}: {error}.") from None


def _not_defined(conn_id: str) -> DreamboothConnectionError:
    return DreamboothConnectionError(
        f"Connection {conn_id!r} is not defined. Create it with type 'dreambooth' and the API key as "
        f"password, or set AIRFLOW_CONN_{conn_id.upper()} (if that is set, Airflow could not read it)."
    )
