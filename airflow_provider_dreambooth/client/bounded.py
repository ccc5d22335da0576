# SPDX-License-Identifier: Apache-2.0
"""An adapter for ``requests`` whose exchanges end in time, however slowly headers and body drip.

``requests`` bounds each read of a socket, not their sum. Here a timer ends the whole exchange by
shutting its socket down, which the reading thread sees as a dropped connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import requests.adapters
import urllib3
import urllib3.connection

_of_this_thread = threading.local()


class _Exchange:
    """The socket of an exchange under way, for the timer of its thread."""

    def __init__(self) -> None:
        self.sock: socket.socket | None = None
        self.over = False

    def end(self) -> None:
        self.over = True
        if self.sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # past TLS, which would say farewell


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Bound everything that this thread reads through a :class:`BoundedAdapter` meanwhile."""
    exchange = _Exchange()
    timer = threading.Timer(seconds, exchange.end)
    timer.daemon = True
    timer.start()
    _of_this_thread.exchange = exchange
    try:
        yield
    except (requests.RequestException, OSError):
        if exchange.over:
            raise requests.ReadTimeout("the reply came too slowly") from None
        raise
    finally:
        timer.cancel()
        _of_this_thread.exchange = None


class _Watched(urllib3.connection.HTTPConnection):
    def getresponse(self) -> Any:
        exchange = getattr(_of_this_thread, "exchange", None)
        if exchange is not None:
            exchange.sock = self.sock
        return super().getresponse()


class _WatchedTLS(_Watched, urllib3.connection.HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Watched


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class BoundedAdapter(requests.adapters.HTTPAdapter):
    """An adapter whose connections :func:`at_most` can end."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of these connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Make the same pools behind a proxy."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        if not proxy.lower().startswith("socks"):  # SOCKS has connections of its own
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager
