# SPDX-License-Identifier: Apache-2.0
"""The session that opens picture links: it knows no secret, and connects only where links may lead."""

from __future__ import annotations

import contextlib
import http.cookiejar
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import requests
import requests.adapters
import urllib3
import urllib3.connection

from airflow_provider_dreambooth.client.config import user_agent
from airflow_provider_dreambooth.storage.links import LinkRefused, check_address, check_link

MAX_REDIRECTS = 5


class LinkSession:
    """
    Opens links of unknown hosts, from any thread.

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
        self._verify = verify
        self._proxies = {"http": proxy, "https": proxy} if proxy else None
        self._sockets = _OpenSockets()
        self._session = requests.Session()
        # No compression: what Content-Length announces is then what the file will hold.
        self._session.headers.update(
            {
                "User-Agent": user_agent("requests"),
                "Accept": "image/*,*/*;q=0.5",
                "Accept-Encoding": "identity",
            }
        )
        # Anything here keeps requests from looking up the host in ~/.netrc, while the environment's
        # proxies and CA bundle stay in use.
        self._session.auth = lambda request: request
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(self._sockets, allow_private, connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    @contextlib.contextmanager
    def open(self, url: str) -> Iterator[requests.Response]:
        """
        Open a link, following redirects; the body is not read yet.

        :raises LinkRefused: if the link, or one that it redirects to, must not be opened.
        :raises requests.RequestException: if there is no answer.
        """
        for _ in range(MAX_REDIRECTS + 1):
            if reason := check_link(url, allow_private=self.allow_private):
                raise LinkRefused(reason)
            with self._session.get(
                url,
                timeout=self.timeout,
                verify=self._verify,
                proxies=self._proxies,
                allow_redirects=False,
                stream=True,
            ) as response:
                if not response.is_redirect:
                    yield response
                    return
                url = urljoin(url, response.headers["Location"])
        raise LinkRefused(f"it redirects more than {MAX_REDIRECTS} times")

    def abort(self) -> None:
        """End every exchange under way at once, from whichever thread: their reads fail."""
        self._sockets.shut_down()

    def close(self) -> None:
        """Close the sockets."""
        self._session.close()


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


class _Adapter(requests.adapters.HTTPAdapter):
    def __init__(self, sockets: _OpenSockets, allow_private: bool, connections: int) -> None:
        class Guarded(urllib3.connection.HTTPConnection):
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

        class GuardedTLS(Guarded, urllib3.connection.HTTPSConnection):
            pass

        class Pool(urllib3.HTTPConnectionPool):
            ConnectionCls = Guarded

        class TLSPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = GuardedTLS

        self._pool_classes = {"http": Pool, "https": TLSPool}
        super().__init__(pool_connections=connections * 4, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # SOCKS has connections of its own
            manager.pool_classes_by_scheme = self._pool_classes
        return manager
