# SPDX-License-Identifier: Apache-2.0
"""A proxy between a client and a store that breaks what a test wants broken, at the byte that it names."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

CHUNK = 1 << 16


@dataclass(frozen=True)
class Request:
    """The head of a request that came by."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", 0))


@dataclass
class Fault:
    """
    What goes wrong with requests of one kind.

    :param of: which requests.
    :param times: how many of them; the next ones pass.
    :param skip: so many of them pass before.
    :param cut: the connection ends after so many bytes of the request's body; negative: from its end.
    :param flip: the byte of the request's body that arrives changed; negative: from its end.
    :param stall: nothing comes any more, after ``cut`` bytes if that is given, and nobody hangs up.
    :param status: what is answered instead of the store, once the request has been read.
    :param body: of that answer.
    :param lose_reply: the store does as asked, but its reply is cut off.
    :param cut_reply: the connection ends after so many bytes of the reply, head included.
    :param flip_reply: the byte of the reply, counted from its end, that arrives changed.
    """

    of: Callable[[Request], bool]
    times: int = 1_000_000
    skip: int = 0
    cut: int | None = None
    flip: int | None = None
    stall: bool = False
    status: int = 0
    body: bytes = b""
    lose_reply: bool = False
    cut_reply: int | None = None
    flip_reply: int | None = None
    met: threading.Event = field(default_factory=threading.Event)


class FaultProxy(socketserver.ThreadingTCPServer):
    """Passes HTTP/1.1 on to a store, one connection there for each here."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.store: tuple[str, int] = ("", 0)
        self.fault: Fault | None = None
        self.requests: list[Request] = []
        self.going = threading.Event()
        self._lock = threading.Lock()

    def fault_of(self, request: Request) -> Fault | None:
        with self._lock:
            self.requests.append(request)
            fault = self.fault
            if fault is None or not fault.of(request):
                return None
            if fault.skip:
                fault.skip -= 1
                return None
            if not fault.times:
                return None
            fault.times -= 1
        return fault

    def handle_error(self, request, client_address):
        pass  # whoever was cut off


class _Gone(Exception):
    """One of the two sides hung up."""


class _Handler(socketserver.StreamRequestHandler):
    server: FaultProxy

    def handle(self):
        store = socket.create_connection(self.server.store, timeout=60)
        reader = store.makefile("rb")
        try:
            while self._pass_one(store, reader):
                pass
        except (OSError, _Gone):
            pass
        finally:
            reader.close()
            store.close()
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _pass_one(self, store, reader) -> bool:
        head, request = _head(self.rfile)
        fault = self.server.fault_of(request)
        if fault is None:
            store.sendall(head)
            if request.headers.get("expect", "").lower() == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            for piece in _body(self.rfile, request.headers):
                store.sendall(piece)
            return self._reply(reader, request, None)
        return self._break(head, request, fault, store, reader)

    def _break(self, head, request, fault, store, reader) -> bool:
        if request.headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not fault.status:
            store.sendall(head)
        passed = 0
        cut = None if fault.cut is None else fault.cut % max(1, request.length)
        flip = None if fault.flip is None else fault.flip % max(1, request.length)
        for piece in _body(self.rfile, request.headers):
            sent = bytearray(piece)
            if flip is not None and passed <= flip < passed + len(sent):
                sent[flip - passed] ^= 0x01
                fault.met.set()
            if cut is not None and cut < passed + len(sent):
                store.sendall(sent[: cut - passed])
                return self._end(fault)
            if not fault.status:
                store.sendall(sent)
            passed += len(piece)
        if cut is not None or (fault.stall and not fault.status):
            return self._end(fault)
        if fault.status:
            fault.met.set()
            answer = f"HTTP/1.1 {fault.status} Broken\r\nContent-Length: {len(fault.body)}\r\n"
            self.wfile.write(f"{answer}Content-Type: application/xml\r\n\r\n".encode() + fault.body)
            return True
        return self._reply(reader, request, fault)

    def _end(self, fault) -> bool:
        fault.met.set()
        if fault.stall:
            self.server.going.wait(60)
        return False

    def _reply(self, reader, request, fault) -> bool:
        head, status, headers = _reply_head(reader)
        if fault is not None and fault.lose_reply:
            for _ in _body(reader, headers, of_reply=True):
                pass
            return self._end(fault)
        bodiless = request.method == "HEAD" or status in (204, 304) or status < 200
        pieces = [] if bodiless else _body(reader, headers, of_reply=True)
        if fault is None or (fault.cut_reply is None and fault.flip_reply is None):
            self.wfile.write(head)
            for piece in pieces:
                self.wfile.write(piece)
            return headers.get("connection", "").lower() != "close"
        whole = bytearray(head + b"".join(pieces))
        if fault.flip_reply is not None:
            whole[-fault.flip_reply] ^= 0x01
        fault.met.set()
        self.wfile.write(whole[: fault.cut_reply] if fault.cut_reply is not None else whole)
        return fault.cut_reply is None


def _lines(file) -> tuple[bytes, list[str]]:
    raw = b""
    while True:
        line = file.readline()
        if not line:
            raise _Gone
        raw += line
        if line in (b"\r\n", b"\n"):
            return raw, raw.decode("latin-1").split("\r\n")


def _fields(lines: list[str]) -> dict[str, str]:
    parts = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in parts}


def _head(file) -> tuple[bytes, Request]:
    raw, lines = _lines(file)
    method, target, _ = lines[0].split(" ", 2)
    return raw, Request(method, target, _fields(lines[1:]))


def _reply_head(file) -> tuple[bytes, int, dict[str, str]]:
    raw, lines = _lines(file)
    status = int(lines[0].split(" ")[1])
    if status == 100:  # told to the client already
        return _reply_head(file)
    return raw, status, _fields(lines[1:])


def _body(file, headers: dict[str, str], *, of_reply: bool = False) -> Iterator[bytes]:
    """The raw bytes of a body, its chunks' frames included."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while True:
            line = file.readline()
            yield line
            size = int(line.split(b";")[0] or b"0", 16)
            if not size:
                raw, _ = _lines(file)
                yield raw
                return
            yield from _exactly(file, size + 2)
    elif "content-length" in headers:
        yield from _exactly(file, int(headers["content-length"]))
    elif of_reply:
        while piece := file.read1(CHUNK):
            yield piece
        headers["connection"] = "close"


def _exactly(file, size: int) -> Iterator[bytes]:
    while size:
        piece = file.read(min(CHUNK, size))
        if not piece:
            raise _Gone
        size -= len(piece)
        yield piece


@contextlib.contextmanager
def running() -> Iterator[FaultProxy]:
    proxy = FaultProxy()
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.going.set()
        proxy.shutdown()
        proxy.server_close()
        thread.join(5)


def waited(event: threading.Event, seconds: float = 60) -> bool:
    """Whether something comes about in time."""
    deadline = time.monotonic() + seconds
    while not event.is_set() and time.monotonic() < deadline:
        event.wait(0.5)
    return event.is_set()
