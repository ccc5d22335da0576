# SPDX-License-Identifier: Apache-2.0
"""The triggerer's way to the service: one look-up and one session per connection, whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from airflow_provider_dreambooth.api.replies import Outcome, Refused
from airflow_provider_dreambooth.client.aio import shared_client
from airflow_provider_dreambooth.client.config import ClientConfig
from airflow_provider_dreambooth.hooks.connection import shared_config


class SharedService:
    """One user's view of the shared session; it follows the connection when its key is changed."""

    def __init__(self, conn_id: str, config: ClientConfig, stack: AsyncExitStack) -> None:
        self._conn_id = conn_id
        self._stack = stack
        self.config = config

    async def fetch(self, request_id: str) -> Outcome:
        """Ask once for a request; if the key is refused and was changed meanwhile, once more with the new one."""
        asked_with = self.config
        outcome = await self._fetch(request_id, asked_with)
        if isinstance(outcome, Refused) and outcome.kind == "key_refused":
            config = await shared_config(self._conn_id, refused=asked_with)
            if config != asked_with:
                return await self._fetch(request_id, config)
        return outcome

    async def _fetch(self, request_id: str, config: ClientConfig) -> Outcome:
        async with shared_client(config) as client:
            if config != self.config:
                # Keep the new session for the rest of this wait.
                await self._stack.enter_async_context(shared_client(config))
                self.config = config
            return await client.fetch(request_id)


@asynccontextmanager
async def shared_service(conn_id: str) -> AsyncIterator[SharedService]:
    """
    Use the service through the connection's shared session of the running event loop.

    :raises DreamboothConnectionError: if the connection cannot be used.
    """
    async with AsyncExitStack() as stack:
        config = await shared_config(conn_id)
        await stack.enter_async_context(shared_client(config))
        yield SharedService(conn_id, config, stack)
