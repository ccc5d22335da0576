# SPDX-License-Identifier: Apache-2.0
"""The session that opens picture links: it knows no secret, and connects only where links may lead."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
import urllib3

from airflow_provider_dreambooth.client.bounded import BoundedAdapter, BoundedConnection, Deadline, at_most
from airflow_provider_dreambooth.client.config import user_agent
from airflow_provider_dreambooth.storage.links import LinkRefused, check_address, check_link

MAX_REDIRECTS = 5


class SettingsUnusable(Exception):
    """What the worker was told about TLS cannot be used."""


class LinkSession:
    """
    Opens links of unknown hosts, from any thread.

    It keeps no cookies and takes nothing from ``~/.netrc``.

    :param allow_private: as in :func:`~airflow_provider_dreambooth.storage.links.check_link`.
    :param connections: sockets kept open per host.
    :param timeout: seconds to wait for a connection, and for the next bytes.
    :param verify: check TLS certificates; or the path of a CA bundle to check them with.
    :param proxy: URL; None: as the environment says.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        connections: int = 4,
        timeout: tuple[float, float] = (10, 60),
        verify: bool | str = True,
        proxy: str | None = None,
    ) -> None:
        self.allow_private = allow_private
        self.timeout = timeout
        self._sockets = _OpenSockets()
        self._adapter = _Adapter(
            _guarded(self._sockets, allow_private), pool_connections=connections * 4, pool_maxsize=connections
        )
        proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._way = functools.lru_cache(connections * 4)(
            lambda host: self._adapter.way(host, verify=verify, proxies=dict(proxies))
        )
        # No compression: what Content-Length announces is then what the file will hold.
        self._headers = {
            "User-Agent": user_agent("urllib3"),
            "Accept": "image/*,*/*;q=0.5",
            "Accept-Encoding": "identity",
        }

    @contextlib.contextmanager
    def open(self, url: str) -> Iterator[tuple[urllib3.BaseHTTPResponse, Deadline]]:
        """
        Open a link, following redirects; the body is not read yet.

        With the reply comes its deadline: whoever reads the body says there until when that may take.

        :raises LinkRefused: if the link, or one that it redirects to, must not be opened.
        :raises urllib3.exceptions.HTTPError: if there is no answer.
        :raises SettingsUnusable: if there is no such CA bundle.
        """
        for _ in range(MAX_REDIRECTS + 1):
            if reason := check_link(url, allow_private=self.allow_private):
                raise LinkRefused(reason)
            with at_most(sum(self.timeout)) as deadline, self._get(url) as response:
                place = response.get_redirect_location()
                if not place:
                    yield response, deadline
                    return
                try:
                    url = urljoin(url, place)
                except ValueError:
                    raise LinkRefused("it redirects to what is no readable URL") from None
        raise LinkRefused(f"it redirects more than {MAX_REDIRECTS} times")

    def _get(self, url: str) -> Any:
        scheme, netloc, path, query, _ = urlsplit(url)
        try:
            pool, takes_urls = self._way(f"{scheme}://{netloc}/")
            return pool.urlopen(
                "GET",
                url.partition("#")[0] if takes_urls else urlunsplit(("", "", path or "/", query, "")),
                headers=self._headers,
                timeout=urllib3.Timeout(*self.timeout),
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
            )
        except ValueError:  # a host that urllib3 or the encoding of its name does not take
            raise LinkRefused("it is no readable URL") from None

    def abort(self) -> None:
        """End every exchange under way at once, from whichever thread: their reads fail."""
        self._sockets.shut_down()

    def close(self) -> None:
        """Close the sockets."""
        self._adapter.close()


class _OpenSockets:
    """Those of one session: a read that waits in another thread only ends with its socket."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._closed = False

    def add(self, sock: Any) -> None:
        with self._lock:
            if isinstance(sock, socket.socket):  # TLS within a proxy's TLS is something else
                self._sockets.add(sock)
            closed = self._closed
        if closed:
            raise LinkRefused("the download was stopped")

    def shut_down(self) -> None:
        with self._lock:
            self._closed = True
            found = list(self._sockets)
        for sock in found:
            with contextlib.suppress(OSError):
                # Past TLS, whose own farewell could wait for the other side.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Adapter(BoundedAdapter):
    """Knows what ``requests`` knows of the ways to a host, without its work for each request."""

    def way(self, host: str, *, verify: bool | str, proxies: dict[str, str]) -> tuple[Any, bool]:
        """Give the connections to a host, and whether they lead to a proxy that takes whole URLs."""
        request = requests.Request("GET", host).prepare()
        settings = requests.Session().merge_environment_settings(host, proxies, True, verify, None)
        pool = self.get_connection_with_tls_context(request, settings["verify"], settings["proxies"])
        try:
            self.cert_verify(pool, host, settings["verify"], None)  # type: ignore[no-untyped-call,unused-ignore]
        except OSError as error:
            raise SettingsUnusable(f"the TLS settings cannot be used: {error}") from None
        return pool, self.request_url(request, settings["proxies"]) != request.path_url


def _guarded(sockets: _OpenSockets, allow_private: bool) -> type[BoundedConnection]:
    """Make connections that lead only where links may lead."""

    class Guarded(BoundedConnection):
        def _new_conn(self) -> socket.socket:
            sock = super()._new_conn()
            try:
                self.admit(sock)
            except LinkRefused:
                sock.close()
                raise
            return sock

        def connect(self) -> None:
            super().connect()
            # Once more at the documented place: `_new_conn` comes before the TLS handshake, but it
            # is urllib3's own and may be renamed.
            self.admit(self.sock)
            sockets.add(self.sock)

        def admit(self, sock: Any) -> None:
            if self.proxy is None:
                reason = check_address(sock.getpeername()[0], allow_private=allow_private)
                if reason:
                    raise LinkRefused(f"its host {self.host} leads elsewhere: {reason}")

    return Guarded
