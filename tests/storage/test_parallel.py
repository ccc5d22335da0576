# SPDX-License-Identifier: Apache-2.0
"""Several pictures at a time over one session: no more than asked for, and over the same connections."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_dreambooth.storage import Picture, save_pictures
from tests.storage.conftest import draw

AT_A_TIME = 3


class Counting(ThreadingHTTPServer):
    """Answers the first pictures only once so many are asked for at the same time."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.together = threading.Barrier(AT_A_TIME)
        self.connections = self.asked = self.open = self.most = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    picture = draw("PNG")

    def setup(self):
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self):
        with self.server.lock:
            self.server.asked += 1
            first = self.server.asked <= AT_A_TIME
            self.server.open += 1
            self.server.most = max(self.server.most, self.server.open)
        if first:
            self.server.together.wait(20)
        with self.server.lock:
            self.server.open -= 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.picture)))
        self.end_headers()
        self.wfile.write(self.picture)

    def log_message(self, *_):
        pass


@pytest.fixture
def counting():
    with Counting() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_so_many_at_a_time_and_each_connection_is_used_again(counting, destination, log):
    url = f"http://127.0.0.1:{counting.server_address[1]}/x.png"
    wanted = [Picture("a", index, url) for index in range(40)]
    report = save_pictures(wanted, destination, max_parallel=AT_A_TIME, allow_private=True, log=log)
    assert len(report.saved) == counting.asked == 40
    assert counting.most == AT_A_TIME
    assert counting.connections == AT_A_TIME
