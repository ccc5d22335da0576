# SPDX-License-Identifier: Apache-2.0
"""Servers that say, byte by byte, what they read of a request and how they end."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Self

Part = Callable[[socket.socket], None]


class Wire:
    """One listening socket; each connection gets the next part, the last part for ever."""

    def __init__(self, *parts: Part) -> None:
        self.parts = list(parts)
        self.received: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # wakes accept()
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            part = self.parts[min(self.connections, len(self.parts) - 1)]
            self.connections += 1
            with connection, suppress(OSError):
                connection.settimeout(10)
                self.received.append(b"")
                part(connection)

    def read(self, connection: socket.socket, least: int | None = None) -> None:
        """Read a whole request, or at least so many bytes of it."""
        data = bytearray()
        try:
            while more := connection.recv(1 << 20):
                data += more
                end = data.find(b"\r\n\r\n") + 4
                if end >= 4 and len(data) >= (end + _length(data[:end]) if least is None else least):
                    return
        finally:
            self.received[-1] += bytes(data)


def _length(head: bytearray) -> int:
    told = re.search(rb"(?im)^content-length: *(\d+)", head)
    return int(told[1]) if told else 0


def reset(connection: socket.socket) -> None:
    """Close with a reset instead of a farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reply(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """Write an HTTP reply; ``length`` is the one that is told, if not the true one."""
    told = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {told}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def free_port() -> int:
    """Give a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def full_backlog(stack: ExitStack) -> int:
    """Give a port that answers to no further connection: its backlog is full and nobody accepts."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port: int = listener.getsockname()[1]
    for _ in range(8):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        with suppress(BlockingIOError):
            waiting.connect(("127.0.0.1", port))
    time.sleep(0.05)
    return port
