# SPDX-License-Identifier: Apache-2.0
"""A host of pictures whose every byte a test decides, and real pictures for it to give."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from PIL import Image


@dataclass(frozen=True)
class Reply:
    """
    One HTTP reply.

    :param cut: the connection is closed after this many bytes of the body.
    :param length: what Content-Length says; None: the truth; -1: nothing, the connection's end is the body's.
    :param stall: after the body (or what ``cut`` leaves of it) nothing more comes, and nobody hangs up.
    """

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    length: int | None = None
    stall: bool = False


class Host(socketserver.ThreadingTCPServer):
    """Gives each path's replies one after the other, then the last of them again and again."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: dict[str, list[Reply]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.accepted = 0
        self.going = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def give(self, path: str, *replies: Reply | bytes) -> str:
        self.replies[path] = [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]
        return self.url + path

    def asked(self, path: str) -> int:
        return sum(asked.partition("?")[0] == path for asked, _ in self.requests)

    def has_accepted(self, count: int) -> bool:
        """Whether so many connections were made; the server's thread may see one after its client."""
        deadline = time.monotonic() + 10
        while self.accepted < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.accepted == count

    def verify_request(self, request, client_address):
        self.accepted += 1
        return True

    def handle_error(self, request, client_address):
        pass  # the client hung up, as some tests want it to


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline().decode()
        if not line:
            return
        headers = {}
        while (header := self.rfile.readline().decode().strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        target = line.split()[1]
        self.server.requests.append((target, headers))
        path = target.partition("?")[0]
        replies = self.server.replies.get(path, [Reply(status=404)])
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        self.wfile.write(self.head(reply))
        body = [reply.body] if isinstance(reply.body, bytes) else reply.body
        left = reply.cut
        for piece in body:
            self.wfile.write(piece if left is None else piece[:left])
            left = None if left is None else max(0, left - len(piece))
        if reply.stall:
            self.server.going.wait(20)
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def head(reply):
        headers = {"Connection": "close"} | reply.headers
        if "Transfer-Encoding" not in headers and reply.length != -1:
            length = reply.length if reply.length is not None else len(reply.body)
            headers["Content-Length"] = str(length)
        lines = [
            f"HTTP/1.1 {reply.status} Whatever",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def draw(kind: str, size: tuple[int, int] = (48, 32), **options) -> bytes:
    """Make a real picture with something on it."""
    picture = Image.linear_gradient("L").resize(size).convert("RGB")
    picture.putpixel((1, 1), (250, 5, 99))
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def host() -> Iterator[Host]:
    server = Host()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.going.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="session")
def pictures() -> dict[str, bytes]:
    return {".png": draw("PNG"), ".jpg": draw("JPEG"), ".webp": draw("WEBP"), ".gif": draw("GIF")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "saved"


@pytest.fixture
def destination(folder: Path) -> ObjectStoragePath:
    return ObjectStoragePath(f"file://{folder}")


@pytest.fixture
def log() -> logging.Logger:
    return logging.getLogger("tests.storage")


def tree(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
