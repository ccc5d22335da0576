# SPDX-License-Identifier: Apache-2.0
"""The triggerer's way to the service: for each connection one look-up, one session and one schedule."""

from __future__ import annotations

import asyncio
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
        self._retired: list[AsyncClient] = []

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
        client = self._client
        outcome = await client.fetch(request_id)
        if isinstance(outcome, Refused) and outcome.kind == "key_refused":
            config = await shared_config(self._conn_id, refused=client.config)
            if config != client.config:
                self.use(config)
                return await self._client.fetch(request_id)
        return outcome

    def use(self, config: ClientConfig) -> None:
        """Ask with this configuration from now on; looks under way end in the session they began in."""
        if config != self._client.config:
            self._retired.append(self._client)
            self._client = AsyncClient(config)

    async def close(self) -> None:
        """End the lanes and close the sockets."""
        await self.poller.close()
        for client in (*self._retired, self._client):
            await client.close()


_services: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedService]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_service(conn_id: str) -> AsyncIterator[SharedService]:
    """
    Use the running loop's one service for this connection; the last user closes it.

    It belongs to no single trigger: one that is cancelled only stops using it.

    :raises DreamboothConnectionError: if the connection cannot be used.
    """
    config = await shared_config(conn_id)
    services = _services.setdefault(asyncio.get_running_loop(), {})
    service = services.get(conn_id)
    if service is None:
        service = services[conn_id] = SharedService(conn_id, config)
    service.use(config)
    service.users += 1
    try:
        yield service
    finally:
        service.users -= 1
        if not service.users:
            del services[conn_id]
            await service.close()
