# SPDX-License-Identifier: Apache-2.0
"""The triggerer's way to the service: one look-up and one session per connection, whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from airflow_provider_dreambooth.api.replies import Outcome, Refused
from airflow_provider_dreambooth.client.aio import AsyncClient, shared_client
from airflow_provider_dreambooth.client.config import ClientConfig
from airflow_provider_dreambooth.hooks.connection import shared_config


class SharedService:
    """One user's view of the shared session; it follows the connection when its key is changed."""

    def __init__(self, conn_id: str, stack: AsyncExitStack) -> None:
        self._conn_id = conn_id
        self._stack = stack
        self._client: AsyncClient

    @property
    def most(self) -> int:
        """How many requests may be under way at once."""
        return self._client.config.max_connections

    async def use(self, config: ClientConfig) -> AsyncClient:
        """Use this configuration's session from now on, until the end of the wait."""
        self._client = await self._stack.enter_async_context(shared_client(config))
        return self._client

    async def fetch(self, request_id: str) -> Outcome:
        """Ask once for a request; with a new key once more, if the old was refused and there is one."""
        client = self._client
        outcome = await client.fetch(request_id)
        if isinstance(outcome, Refused) and outcome.kind == "key_refused":
            config = await shared_config(self._conn_id, refused=client.config)
            if config != client.config:
                client = self._client if self._client.config == config else await self.use(config)
                return await client.fetch(request_id)
        return outcome


@asynccontextmanager
async def shared_service(conn_id: str) -> AsyncIterator[SharedService]:
    """
    Use the service through the connection's shared session of the running event loop.

    :raises DreamboothConnectionError: if the connection cannot be used.
    """
    config = await shared_config(conn_id)
    async with AsyncExitStack() as stack:
        service = SharedService(conn_id, stack)
        await service.use(config)
        yield service
