# SPDX-License-Identifier: Apache-2.0
"""The asynchronous client, for the triggerer."""

from __future__ import annotations

import asyncio
import ssl
import time
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from airflow_provider_dreambooth.api import wording
from airflow_provider_dreambooth.api.endpoints import FETCHES, Call
from airflow_provider_dreambooth.api.exchange import Answer, RawReply, exchange, text_without_key
from airflow_provider_dreambooth.api.replies import Outcome, Refused, Unavailable
from airflow_provider_dreambooth.client.config import ClientConfig, pace_of, user_agent

CHUNK = 1 << 16


class AsyncClient:
    """One session with the service in one event loop; :meth:`close` it."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.pace = pace_of(config)
        self.users = 0
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=config.max_connections, ssl=_ssl(config)),
            headers={
                "User-Agent": user_agent("aiohttp"),
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
            # `total` bounds headers that drip, too; `sock_read` would arm a timer for each read of each poll.
            timeout=aiohttp.ClientTimeout(
                total=config.connect_timeout + config.timeout, sock_connect=config.connect_timeout
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
        """
        Make one call, without repeating it; what keeps a reply from coming is an outcome too.

        Whoever calls has taken the right to send from :attr:`pace`.
        """
        conversation = exchange(self.config, call)
        url = next(conversation)
        try:
            while True:
                url = conversation.send(await self._post(url, call))
                # A redirect is a request, too.
                while (delay := self.pace.take(time.monotonic())) > 0:  # noqa: ASYNC110 - nobody sets an event
                    await asyncio.sleep(delay)
        except StopIteration as end:
            result: Answer | Refused | Unavailable = end.value
            return result
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:  # ValueError: of an address
            return Unavailable("network", self._explain(error))

    async def _post(self, url: str, call: Call) -> RawReply:
        async with self._session.post(
            url, data=call.encode(self.config.api_key), allow_redirects=False, proxy=self._proxy
        ) as response:
            return RawReply(
                response.status,
                await _body(response, call.max_reply_bytes),
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
        text = text_without_key(f"{type(error).__name__}: {error}", self.config.api_key)
        return wording.one_line(text, 150)


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Read a reply, or more than ``most`` bytes of one that is longer."""
    if (response.content_length or most + 1) <= most and "Content-Encoding" not in response.headers:
        return await response.read()
    body = b""
    async for chunk in response.content.iter_chunked(CHUNK):
        body += chunk
        if len(body) > most:
            break
    return body


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
