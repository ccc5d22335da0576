# SPDX-License-Identifier: Apache-2.0
"""The service's part in the waiting benchmarks: it says "processing" to every poll, and counts them.

Less than the sandbox does, so that on two cores it takes little time from what is measured. Paths below
``/404`` get the same answer as HTTP 404, the only one that makes ``HttpSensorTrigger`` ask again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import mmap
import os
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

KEY = "benchmark-key"
PROCESSING = json.dumps(
    {
        "status": "processing",
        "messege": "try again later.",
        "output": "",
        "tip": "Get 20x faster image generation using enterprise plan.",
    }
).encode()
COUNTER_BYTES = 8


class Service:
    """The service in a process of its own, on ``localhost`` as a name: looking names up is a part of polls.

    :param https: with a certificate of its own making, which :attr:`environment` lets clients trust.
    """

    def __init__(self, *, https: bool = False) -> None:
        self._https = https

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.counter = folder / "polls"
        self.counter.write_bytes(bytes(COUNTER_BYTES))
        self._authority = folder / "authority.pem"
        command = [sys.executable, __file__, f"--counter={self.counter}"]
        if self._https:
            import trustme

            authority = trustme.CA()
            authority.cert_pem.write_to_path(self._authority)
            certificate = folder / "certificate.pem"
            intermediate = authority.create_child_ca()  # as public certificates have one
            intermediate.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
            command.append(f"--certificate={certificate}")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        port = self._process.stdout.readline().strip()
        self.url = f"http{'s' if self._https else ''}://localhost:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)  # closes its standard input
        self._folder.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        """What a client's process needs to know, Airflow's connections among it."""
        trust = {"SSL_CERT_FILE": str(self._authority)} if self._https else {}
        connection = {"conn_type": "dreambooth", "host": self.url, "password": KEY}
        return {
            **trust,
            "BENCHMARK_COUNTER": str(self.counter),
            "AIRFLOW_CONN_DREAMBOOTH_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_HTTP_DEFAULT": json.dumps({"conn_type": "http", "host": self.url}),
        }


def counter(path: str | os.PathLike[str]) -> memoryview[Any]:
    """Map the number of polls answered so far: reading it costs a client nothing, unlike asking for it."""
    with Path(path).open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), COUNTER_BYTES)).cast("Q")


async def serve(counts: memoryview[Any], tls: ssl.SSLContext | None) -> None:
    """Answer until the standard input ends, as it does with the process that reads the port."""
    from aiohttp import web

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        counts[0] += 1
        status = 404 if request.path.startswith("/404/") else 200
        return web.Response(body=PROCESSING, status=status, content_type="application/json")

    runner = web.ServerRunner(web.Server(answer, keepalive_timeout=3600))
    await runner.setup()
    ipv4 = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = ipv4.getsockname()[1]
    await web.SockSite(runner, ipv4, ssl_context=tls).start()
    with contextlib.suppress(OSError):  # else a client that tries IPv6 first pays for its being absent
        ipv6 = socket.create_server(("::1", port), family=socket.AF_INET6, backlog=1024)
        await web.SockSite(runner, ipv6, ssl_context=tls).start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    print(port, flush=True)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Run the service."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counter", required=True, help="file of 8 bytes to count the polls in")
    parser.add_argument("--certificate", help="PEM file with certificate and key, for HTTPS")
    options = parser.parse_args()
    tls = None
    if options.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.certificate)
    asyncio.run(serve(counter(options.counter), tls))


if __name__ == "__main__":
    main()
