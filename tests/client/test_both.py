# SPDX-License-Identifier: Apache-2.0
"""A look by either client that finds nobody is told in the same words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from airflow_provider_dreambooth.api.replies import Outcome, Unavailable
from airflow_provider_dreambooth.client.aio import AsyncClient
from airflow_provider_dreambooth.client.config import ClientConfig, from_fields
from airflow_provider_dreambooth.client.sync import Client
from tests.client.wire import Wire, full_backlog


def by_requests(config: ClientConfig) -> Outcome:
    client = Client(config)
    try:
        return client.fetch("1")
    finally:
        client.close()


def by_aiohttp(config: ClientConfig) -> Outcome:
    async def look() -> Outcome:
        client = AsyncClient(config)
        try:
            return await client.fetch("1")
        finally:
            await client.close()

    return asyncio.run(look())


@pytest.fixture(params=[by_requests, by_aiohttp])
def told(request, monkeypatch) -> Callable[[int], str]:
    monkeypatch.setenv("NO_PROXY", "*")

    def look(port: int) -> str:
        host = f"http://127.0.0.1:{port}"
        outcome = request.param(from_fields(host=host, port=None, password="a-key", extra={"timeout": 0.5}))
        assert isinstance(outcome, Unavailable)
        return outcome.message

    return look


def test_no_connection_in_time(told):
    with ExitStack() as stack:
        port = full_backlog(stack)
        assert told(port) == f"no connection to http://127.0.0.1:{port} within 0.5 seconds"


def test_no_reply_in_time(told):
    with Wire(lambda connection: wire.read(connection, 1 << 20)) as wire:  # more than ever comes
        assert told(wire.port) == f"no reply from http://127.0.0.1:{wire.port} within 0.5 seconds"
