# SPDX-License-Identifier: Apache-2.0
"""The session that opens picture links: it knows no secret, and connects only where links may lead."""

from __future__ import annotations

import contextlib
import http.cookiejar
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import urljoin

import requests
import requests.adapters
import urllib3
import urllib3.connection

from airflow_provider_dreambooth.client.config import user_agent
from airflow_provider_dreambooth.storage.links import LinkRefused, check_address, check_link

MAX_REDIRECTS = 5


class SettingsUnusable(Exception):
    """What the worker was told about TLS cannot be used."""


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
        self._session = _Session()
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
    def open(self, url: str) -> Iterator[tuple[requests.Response, Watch]]:
        """
        Open a link, following redirects; the body is not read yet.

        With the reply comes its watch: whoever reads the body says there until when that may take.

        :raises LinkRefused: if the link, or one that it redirects to, must not be opened.
        :raises requests.RequestException: if there is no answer.
        :raises SettingsUnusable: if there is no such CA bundle.
        """
        for _ in range(MAX_REDIRECTS + 1):
            if reason := check_link(url, allow_private=self.allow_private):
                raise LinkRefused(reason)
            with Watch(self.timeout[1]) as watch, self._get(url, watch) as response:
                if not response.is_redirect:
                    yield response, watch
                    return
                try:
                    url = urljoin(url, response.headers["Location"])
                except ValueError:
                    raise LinkRefused("it redirects to what is no readable URL") from None
        raise LinkRefused(f"it redirects more than {MAX_REDIRECTS} times")

    def _get(self, url: str, watch: Watch) -> requests.Response:
        self._sockets.here.watch = watch
        try:
            return self._session.get(
                url,
                timeout=self.timeout,
                verify=self._verify,
                proxies=self._proxies,
                allow_redirects=False,
                stream=True,
            )
        except requests.RequestException:
            raise
        except ValueError:  # a host that urllib3 or the encoding of its name does not take
            raise LinkRefused("it is no readable URL") from None
        except OSError as error:  # requests looks itself whether there is such a file
            raise SettingsUnusable(f"the TLS settings cannot be used: {error}") from None

    def abort(self) -> None:
        """End every exchange under way at once, from whichever thread: their reads fail."""
        self._sockets.shut_down()

    def close(self) -> None:
        """Close the sockets."""
        self._session.close()


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Give none: requests would read the whole body of a redirect, even of one it does not follow."""
        return


class Watch:
    """
    Ends an exchange whose time is up: a socket's own timeout begins anew with each byte that drips in.

    :param seconds: from the request to the end of the reply's headers.
    """

    def __init__(self, seconds: float) -> None:
        self.until = 0.0
        self.expired = False
        self._seconds = seconds
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def begin(self, sock: Any) -> None:
        """Watch a socket; from now on ``until`` (``time.monotonic()``) may be moved on, not back."""
        self.until = time.monotonic() + self._seconds
        threading.Thread(target=self._watch, args=(sock,), name="dreambooth-watch", daemon=True).start()

    def _watch(self, sock: Any) -> None:
        while (left := self.until - time.monotonic()) > 0:
            if self._ended.wait(left):
                return
        self.expired = True
        _shut_down(sock)


def _shut_down(sock: Any) -> None:
    with contextlib.suppress(OSError, TypeError):  # TLS within a proxy's TLS is no socket
        # Past TLS, whose own farewell could wait for the other side.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _OpenSockets:
    """Those of one session: a read that waits in another thread only ends with its socket."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._closed = False
        self.here = threading.local()
        """``watch``: that of the exchange which this thread is in."""

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
            _shut_down(sock)


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

            def getresponse(self) -> Any:
                watch: Watch = sockets.here.watch
                watch.begin(self.sock)
                try:
                    return super().getresponse()
                finally:
                    if watch.expired:  # what came till then would pass for all headers
                        raise TimeoutError

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
