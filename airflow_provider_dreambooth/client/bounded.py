# SPDX-License-Identifier: Apache-2.0
"""An adapter for ``requests`` whose exchanges end in time, however slowly headers and body drip.

``requests`` bounds each read of a socket, not their sum: its timeout begins anew with every byte. Here each
read waits no longer than what is left of the whole exchange.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import requests.adapters
import urllib3
import urllib3.connection

_of_this_thread = threading.local()


class Deadline:
    """
    When an exchange is over.

    :param seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        """By ``time.monotonic()``; whoever reads on may move it on."""

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self.until


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[Deadline]:
    """Bound what is read of the replies that this thread gets through a :class:`BoundedAdapter` meanwhile."""
    deadline = Deadline(seconds)
    _of_this_thread.deadline = deadline
    try:
        yield deadline
    except (requests.RequestException, OSError) as error:
        if deadline.over and not isinstance(error, requests.ConnectTimeout):  # which is no slow reply
            raise requests.ReadTimeout("the reply came too slowly") from None
        raise
    finally:
        _of_this_thread.deadline = None


class _Reads(io.RawIOBase):
    """The reading side of a socket, until the deadline."""

    def __init__(self, sock: Any, raw: Any, deadline: Deadline) -> None:
        self._sock, self._raw, self._deadline = sock, raw, deadline
        self._wait = sock.gettimeout() or float("inf")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(min(left, self._wait))
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if deadline := getattr(_of_this_thread, "deadline", None):
            raw = self.fp.detach()  # nothing is read yet
            self.fp = io.BufferedReader(_Reads(sock, raw, deadline))


class BoundedConnection(urllib3.connection.HTTPConnection):
    """A connection whose replies :func:`at_most` can end."""

    response_class = _Response


class BoundedAdapter(requests.adapters.HTTPAdapter):
    """
    An adapter whose exchanges :func:`at_most` can end.

    :param connection: what it connects with; for TLS too.
    """

    def __init__(self, connection: type[BoundedConnection] = BoundedConnection, **kwargs: Any) -> None:
        class TLSConnection(connection, urllib3.connection.HTTPSConnection):  # type: ignore[misc,valid-type]
            pass

        class Pool(urllib3.HTTPConnectionPool):
            ConnectionCls = connection

        class TLSPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = TLSConnection

        self._pool_classes = {"http": Pool, "https": TLSPool}
        super().__init__(**kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of these connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Make the same pools behind a proxy."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        if not proxy.lower().startswith("socks"):  # SOCKS has connections of its own
            manager.pool_classes_by_scheme = self._pool_classes
        return manager
