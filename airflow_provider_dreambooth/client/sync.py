# SPDX-License-Identifier: Apache-2.0
"""The synchronous client: ``requests`` for a worker, one session, safe to use from several threads."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests
import urllib3

from airflow_provider_dreambooth.api import wording
from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.endpoints import FETCHES, Call
from airflow_provider_dreambooth.api.exchange import Answer, RawReply, exchange, text_without_key
from airflow_provider_dreambooth.api.replies import Outcome, Refused, Unavailable
from airflow_provider_dreambooth.client.bounded import BoundedAdapter, Deadline, at_most
from airflow_provider_dreambooth.client.config import ClientConfig, pace_of, user_agent

CHUNK = 1 << 16
_turn = threading.Lock()
"""Over the paces, which all threads of this process share."""


class _Body(io.BytesIO):
    """The body of a request, which knows whether any of it may have left for the service."""

    sent = False
    deadline: Deadline | None = None
    """When the reply must be there: ``patience`` seconds from the last byte, however long they all take."""
    patience = 0.0

    def read(self, size: int | None = -1, /) -> bytes:
        """Give the next bytes: the connection is there, and its head is on the way."""
        self.sent = True
        if self.deadline:
            self.deadline.until = time.monotonic() + self.patience
        return super().read(size)


class _Session(requests.Session):
    """A session that follows no redirect, and does not swallow the body of one to look where it leads."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Say that it leads nowhere: :mod:`airflow_provider_dreambooth.api.exchange` knows."""
        return None


class Client:
    """One session with the service; :meth:`close` it."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.key_is_current = False
        """Whether the connection was looked up again after a refusal of this key, and has no other."""
        self._session = _Session()
        self._session.headers.update(
            {
                "User-Agent": user_agent("requests"),
                "Content-Type": "application/json",
                "Accept": "application/json",
            }
        )
        self._session.auth = lambda request: request  # what ~/.netrc says of the host is not meant for it
        self._session.mount("http://", self._adapter())
        self._session.mount("https://", self._adapter())

    def close(self) -> None:
        """Close the sockets."""
        self._session.close()

    def fetch(self, request_id: str) -> Outcome:
        """Ask once for the pictures of a request."""
        answer = self.send(FETCHES[self.config.api_version](request_id))
        return answer.outcome() if isinstance(answer, Answer) else answer

    def submit(self, call: Call) -> Answer | Refused | Unavailable:
        """
        Make one call that is billed, over a connection of its own.

        A connection that was idle may have been closed by the service just now: then nobody could tell
        whether the request arrived.
        """
        fresh = Client(self.config)
        try:
            return fresh.send(call)
        finally:
            fresh.close()

    def send(self, call: Call) -> Answer | Refused | Unavailable:
        """Make one call, without repeating it; what keeps a reply from coming is an outcome too."""
        conversation = exchange(self.config, call)
        url = next(conversation)
        body = _Body()
        try:
            while True:
                body = _Body(call.encode(self.config.api_key))
                url = conversation.send(self._post(url, call, body))
        except StopIteration as end:
            result: Answer | Refused | Unavailable = end.value
            return result
        except (requests.RequestException, OSError, ValueError) as error:  # ValueError: of an address
            return Unavailable("network", self._explain(error, call), sent=body.sent)

    def _post(self, url: str, call: Call, body: _Body) -> RawReply:
        self._wait_for_turn()
        timeout = self._timeout(call)
        with at_most(self.config.connect_timeout + timeout) as body.deadline:
            body.patience = timeout
            return self._exchange(url, call, body)

    def _exchange(self, url: str, call: Call, body: _Body) -> RawReply:
        proxy = self.config.proxy
        with self._session.post(
            url,
            data=body,
            timeout=(self.config.connect_timeout, body.patience),
            verify=self.config.verify,
            proxies={"http": proxy, "https": proxy} if proxy else None,
            allow_redirects=False,
            stream=True,
        ) as response:
            reply, broken = bytearray(), ""
            try:
                # As it comes: whole chunks would be dropped, with an id that is paid for, if the line breaks.
                while part := response.raw.read1(CHUNK, decode_content=True):
                    reply += part
                    if len(reply) > call.max_reply_bytes:
                        break
            except (urllib3.exceptions.HTTPError, OSError) as error:
                broken = self._explain_break(error, call)
            return RawReply(
                response.status_code,
                bytes(reply),
                time.time(),
                broken=broken,
                location=response.headers.get("Location"),
                retry_after=response.headers.get("Retry-After"),
            )

    def _wait_for_turn(self) -> None:
        while True:
            with _turn:
                delay = pace_of(self.config).take(time.monotonic())
            if delay <= 0:
                return
            time.sleep(delay)

    def _adapter(self) -> BoundedAdapter:
        size = self.config.max_connections
        return BoundedAdapter(pool_connections=4, pool_maxsize=size, pool_block=True, max_retries=0)

    def _timeout(self, call: Call) -> float:
        return max(self.config.timeout, call.least_timeout)

    def _explain(self, error: Exception, call: Call) -> str:
        place = self.config.base_url
        match error:
            case requests.exceptions.ProxyError():
                return f"the proxy for {place} did not let the request through"
            case requests.exceptions.SSLError():
                return f"the TLS certificate of {place} was not accepted: {self._root_cause(error)}"
            case requests.ConnectTimeout():
                return f"no connection to {place} within {self.config.connect_timeout:g} seconds"
            case requests.ReadTimeout():
                return f"no reply from {place} within {self._timeout(call):g} seconds"
            case requests.ConnectionError():
                return f"the connection to {place} failed: {self._root_cause(error)}"
            case ValueError():  # it may quote a proxy's password
                return f"the address {place}, or its proxy's, cannot be used"
            case _:
                return f"the exchange with {place} failed: {self._root_cause(error)}"

    def _explain_break(self, error: Exception, call: Call) -> str:
        """Say what kept the rest of a reply from coming: the connection and its beginning were well."""
        place = self.config.base_url
        match error:
            case urllib3.exceptions.ReadTimeoutError() | requests.ReadTimeout() | TimeoutError():
                return f"no whole reply from {place} within {self._timeout(call):g} seconds"
            case urllib3.exceptions.DecodeError():
                return f"the reply of {place} cannot be decompressed"
            case _:
                return f"the reply of {place} broke off"

    def _root_cause(self, error: BaseException) -> str:
        while (
            deeper := getattr(error, "reason", None) or error.__cause__ or error.__context__
        ) and isinstance(deeper, BaseException):
            error = deeper
        text = text_without_key(f"{type(error).__name__}: {error}", self.config.api_key)
        return wording.one_line(text, 150)


def look(batch: Batch, fetch: Callable[[str], Outcome], *, most: int, until: float = float("inf")) -> None:
    """
    Ask once for everything in the batch that is due.

    :param fetch: asks once for one request, from any thread; it answers with an outcome and does not raise.
    :param most: looks under way at once.
    :param until: epoch seconds; no further look is begun after it.
    """
    pool = ThreadPoolExecutor(most, thread_name_prefix="dreambooth-fetch")
    try:
        taken = batch.take_due(time.time(), most)
        while taken:
            # A single look stays in this thread, where a signal (a timeout, a kill) interrupts it.
            outcomes = pool.map(fetch, taken) if len(taken) > 1 else map(fetch, taken)
            for request_id, outcome in zip(taken, outcomes, strict=True):
                batch.record(request_id, outcome, time.time())
            taken = batch.take_due(time.time(), most) if time.time() < until else []
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
