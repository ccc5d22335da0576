# SPDX-License-Identifier: Apache-2.0
"""The triggerer's way to the service: for each connection one look-up, one session and one schedule."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from airflow_provider_dreambooth.api.pace import Pace
from airflow_provider_dreambooth.api.replies import Outcome, Refused
from airflow_provider_dreambooth.client.aio import AsyncClient
from airflow_provider_dreambooth.client.config import ClientConfig
from airflow_provider_dreambooth.client.poller import Poller
from airflow_provider_dreambooth.hooks.connection import shared_config


class SharedService:
    """What all waits on one connection share in one event loop; it follows the connection's changes."""

    def __init__(self, conn_id: str, config: ClientConfig) -> None:
        self.users = 0
        self.poller = Poller(self)
        self._conn_id = conn_id
        self._client = AsyncClient(config)

    @property
    def pace(self) -> Pace:
        """How fast the connection may send now."""
        return self._client.pace

    @property
    def most(self) -> int:
        """How many requests may be under way at once."""
        return self._client.config.max_connections

    async def fetch(self, request_id: str) -> Outcome:
        """
        Ask once for a request; with a new key once more, if the old was refused and there is one.

        :raises DreamboothConnectionError: if the connection cannot be used any more.
        """
        asked = self._client.config
        outcome = await self._fetch(request_id)
        if isinstance(outcome, Refused) and outcome.kind == "key_refused":
            config = await shared_config(self._conn_id, refused=asked)
            if config != asked:
                await self.use(config)
                return await self._fetch(request_id)
        return outcome

    async def _fetch(self, request_id: str) -> Outcome:
        client = self._client
        client.users += 1
        try:
            return await client.fetch(request_id)
        finally:
            client.users -= 1
            await self._close_if_retired(client)

    async def use(self, config: ClientConfig) -> None:
        """Ask with this configuration from now on; looks under way end in the session they began in."""
        if config != self._client.config:
            former, self._client = self._client, AsyncClient(config)
            await self._close_if_retired(former)

    async def _close_if_retired(self, client: AsyncClient) -> None:
        if client is not self._client and not client.users:
            await client.close()

    async def close(self) -> None:
        """End the lanes and close the sockets."""
        try:
            await self.poller.close()
        finally:
            await self._client.close()


_services: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], SharedService]] = (
    WeakKeyDictionary()
)


@asynccontextmanager
async def shared_service(conn_id: str) -> AsyncIterator[SharedService]:
    """
    Use the running loop's one service for this connection; the last user closes it.

    It belongs to no single trigger: one that is cancelled only stops using it.

    :raises DreamboothConnectionError: if the connection cannot be used.
    """
    config = await shared_config(conn_id)
    loop = asyncio.get_running_loop()
    services = _services.setdefault(loop, {})
    place = conn_id, config.base_url  # a wait stays at the host that knows its ids
    service = services.get(place)
    if service is None:
        service = services[place] = SharedService(conn_id, config)
    service.users += 1
    try:
        await service.use(config)
        yield service
    finally:
        service.users -= 1
        if not service.users:
            del services[place]
            if not services:
                _services.pop(loop, None)
            # Shielded: cancelled once more, it would leave sockets open.
            await asyncio.shield(loop.create_task(service.close(), context=contextvars.Context()))
