# SPDX-License-Identifier: Apache-2.0
"""The asynchronous client for the triggerer: one session a connection and event loop, shared by triggers."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import aiohttp

from airflow_provider_dreambooth.api import wording
from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.endpoints import FETCHES, Call
from airflow_provider_dreambooth.api.exchange import Answer, RawReply, exchange, without_key
from airflow_provider_dreambooth.api.replies import Outcome, Refused, Unavailable
from airflow_provider_dreambooth.client.config import ClientConfig, reserve_slot, user_agent

CHUNK = 1 << 16


class AsyncClient:
    """One session with the service in one event loop. Take it from :func:`shared_client`."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.users = 0
        # Waiting for a free socket is not the service's fault, so it is done before the clock starts.
        self._sockets = asyncio.Semaphore(config.max_connections)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=config.max_connections, ssl=_ssl(config)),
            headers={
                "User-Agent": user_agent("aiohttp"),
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
            # `total` counts from here on, as the semaphore is what a poll waits at; it bounds headers
            # that drip, too, where `sock_read` bounds each read and not their sum.
            timeout=aiohttp.ClientTimeout(
                total=config.connect_timeout + config.timeout,
                sock_connect=config.connect_timeout,
                sock_read=config.timeout,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # `trust_env` would read the environment and .netrc in a thread, twice for each poll.
        self._proxy = config.proxy or _environment_proxy(config.base_url)

    async def close(self) -> None:
        """Close the sockets."""
        await self._session.close()

    async def fetch(self, request_id: str) -> Outcome:
        """Ask once for the pictures of a request."""
        answer = await self.send(FETCHES[self.config.api_version](request_id))
        return answer.outcome() if isinstance(answer, Answer) else answer

    async def send(self, call: Call) -> Answer | Refused | Unavailable:
        """Make one call, without repeating it; what keeps a reply from coming is an outcome too."""
        conversation = exchange(self.config, call)
        url = next(conversation)
        try:
            while True:
                url = conversation.send(await self._post(url, call))
        except StopIteration as end:
            result: Answer | Refused | Unavailable = end.value
            return result
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:  # ValueError: of an address
            return Unavailable("network", self._explain(error))

    async def _post(self, url: str, call: Call) -> RawReply:
        if (delay := reserve_slot(self.config, time.monotonic())) > 0:
            await asyncio.sleep(delay)
        async with (
            self._sockets,
            self._session.post(
                url, data=call.encode(self.config.api_key), allow_redirects=False, proxy=self._proxy
            ) as response,
        ):
            body: bytes | None = b""
            async for chunk in response.content.iter_chunked(CHUNK):
                body = (body or b"") + chunk
                if len(body) > call.max_reply_bytes:
                    body = None
                    break
            return RawReply(
                response.status,
                body,
                time.time(),
                location=response.headers.get("Location"),
                retry_after=response.headers.get("Retry-After"),
            )

    def _explain(self, error: Exception) -> str:
        place = self.config.base_url
        match error:
            case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
                return f"the proxy for {place} did not let the request through"
            case aiohttp.ClientSSLError():
                return f"the TLS certificate of {place} was not accepted: {self._cause(error)}"
            case aiohttp.ConnectionTimeoutError():
                return f"no connection to {place} within {self.config.connect_timeout:g} seconds"
            case TimeoutError():
                return f"no reply from {place} within {self.config.timeout:g} seconds"
            case aiohttp.ClientConnectionError():
                return f"the connection to {place} failed: {self._cause(error)}"
            case ValueError():  # it may quote a proxy's password
                return f"the address {place}, or its proxy's, cannot be used"
            case _:
                return f"the exchange with {place} failed: {self._cause(error)}"

    def _cause(self, error: Exception) -> str:
        text = without_key(f"{type(error).__name__}: {error}".encode(), self.config.api_key)
        return wording.one_line(text.decode(), 150)


async def wait(
    batch: Batch,
    fetch: Callable[[str], Coroutine[Any, Any, Outcome]],
    *,
    most: int,
    on_change: Callable[[str], None],
) -> None:
    """
    Look at a batch's requests as they fall due until each has its verdict.

    :param fetch: asks once for one request; it answers with an outcome and does not raise.
    :param most: looks under way at once.
    :param on_change: is called with the progress whenever a request got its verdict.
    """
    looks: dict[asyncio.Task[Outcome], str] = {}
    try:
        while batch.waiting or looks:  # a look under way may bring pictures also when all else is over
            due = batch.take_due(time.time(), most - len(looks))
            if due and batch.waiting == 1:  # the usual trigger waits for one request and needs no tasks
                batch.record(due[0], await fetch(due[0]), time.time())
                continue
            looks.update((asyncio.create_task(fetch(request_id)), request_id) for request_id in due)
            full = len(looks) >= most
            pause = None if full else min(max(batch.next_due - time.time(), 0.0), 3600.0)
            if not looks:
                await asyncio.sleep(pause or 0.0)
                continue
            done, _ = await asyncio.wait(looks, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            before = batch.waiting
            for look in done:
                batch.record(looks.pop(look), look.result(), time.time())
            if batch.waiting < before:
                on_change(batch.progress)
    finally:
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[ClientConfig, AsyncClient]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(config: ClientConfig) -> AsyncIterator[AsyncClient]:
    """
    Use the running loop's one client for this configuration; the last user closes it.

    It belongs to no single trigger: a trigger that is cancelled only stops using it.
    """
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    client = clients.get(config)
    if client is None:
        client = clients[config] = AsyncClient(config)
    client.users += 1
    try:
        yield client
    finally:
        client.users -= 1
        if not client.users:
            del clients[config]
            await client.close()


def _environment_proxy(url: str) -> str | None:
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _ssl(config: ClientConfig) -> ssl.SSLContext | bool:
    if isinstance(config.verify, str):
        return ssl.create_default_context(cafile=config.verify)
    return config.verify
