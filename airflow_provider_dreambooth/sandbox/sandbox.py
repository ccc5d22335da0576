# SPDX-License-Identifier: Apache-2.0
"""The sandbox as a context manager: the server runs in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from concurrent.futures import Future
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

from aiohttp import web

from airflow_provider_dreambooth.sandbox.server import build_app
from airflow_provider_dreambooth.sandbox.service import Service
from airflow_provider_dreambooth.sandbox.settings import Settings
from airflow_provider_dreambooth.sandbox.wishes import Wishes, add

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from airflow_provider_dreambooth.sandbox.journal import Record, Submit
    from airflow_provider_dreambooth.sandbox.script import Spec

STOP_PATIENCE = 0.1  # seconds for requests that are being answered when the sandbox stops


class Sandbox:
    """The Stable Diffusion API played on this machine, over real HTTP.

    .. code-block:: python

        with Sandbox(key="sandbox-key") as sandbox:
            request_id = sandbox.add(prompt="a red fox", ready_in=3.0)

    :param key: the API key, or several.
    :param port: 0 takes a free one.
    :param host: the address to listen on.
    :param certificate: PEM file with certificate and private key, for HTTPS.
    :param settings: see :class:`~airflow_provider_dreambooth.sandbox.settings.Settings`.
    :raises RuntimeError: if Pillow is not installed.
    """

    def __init__(
        self,
        key: str | Sequence[str] = "sandbox-key",
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        certificate: str | None = None,
        **settings: Any,
    ) -> None:
        if find_spec("PIL") is None:
            raise RuntimeError(
                "The sandbox draws its pictures with Pillow, which is not installed: "
                "pip install 'airflow-provider-dreambooth[sandbox]'"
            )
        self._service = Service([key] if isinstance(key, str) else key, Settings(**settings))
        self._key = key if isinstance(key, str) else key[0]
        self._host, self._port, self._certificate = host, port, certificate
        self._switch = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    # -- running

    def start(self) -> Self:
        """Start serving.

        :raises OSError: if the port is taken.
        """
        with self._switch:
            if self._thread is not None:
                raise RuntimeError("The sandbox is running already.")
            started: Future[int] = Future()
            thread = threading.Thread(
                target=self._run, args=(started,), name="dreambooth-sandbox", daemon=True
            )
            thread.start()
            self._port = started.result()
            self._thread = thread
        return self

    def stop(self) -> None:
        """Stop serving, also in the middle of an answer. Does nothing if the sandbox is not running.

        Started again, it serves at the same address and remembers everything.
        """
        with self._switch:
            if self._thread is None or self._stop is None:
                return
            loop, event = self._stop
            loop.call_soon_threadsafe(event.set)
            self._thread.join()
            self._thread = self._stop = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, started: Future[int]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as err:
            if started.done():
                raise
            started.set_exception(err)

    async def _serve(self, started: Future[int]) -> None:
        tls = None
        if self._certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(self._certificate)
        runner = web.AppRunner(
            build_app(self._service),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=STOP_PATIENCE,
        )
        await runner.setup()

        def accept() -> asyncio.Protocol:
            self._service.connections += 1
            return cast("web.Server", runner.server)()

        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            listening = await loop.create_server(accept, self._host, self._port, ssl=tls)
            try:
                self._stop = loop, stop
                started.set_result(listening.sockets[0].getsockname()[1])
                await stop.wait()
            finally:
                listening.close()
                if tls is not None:
                    # A TLS transport would wait for the client's farewell, longer than this loop lives.
                    for connection in cast("web.Server", runner.server).connections:
                        if connection.transport is not None:
                            connection.transport.abort()
        finally:
            await runner.cleanup()

    # -- what a client needs

    @property
    def url(self) -> str:
        """The address: the ``host`` of the connection."""
        host = "127.0.0.1" if self._host in ("0.0.0.0", "::") else self._host  # noqa: S104
        return f"{'https' if self._certificate else 'http'}://{host}:{self._port}"

    @property
    def connection_json(self) -> str:
        """The connection for ``AIRFLOW_CONN_DREAMBOOTH_DEFAULT``. It holds the key."""
        return json.dumps({"conn_type": "dreambooth", "host": self.url, "password": self._key})

    def set_key(self, *keys: str) -> None:
        """From now on accept these keys and no other."""
        self._service.set_keys(keys)
        self._key = keys[0]

    # -- what it is to play

    def add(self, **wishes: Unpack[Wishes]) -> str:
        """Add a request, as if it had been submitted, and return its id.

        :param wishes: see :class:`~airflow_provider_dreambooth.sandbox.wishes.Wishes`.
        :raises ValueError: for an unknown name, fault or value.
        """
        return add(self._service, **wishes).request_id

    def script(self, endpoint: str, replies: Spec | Sequence[Spec]) -> None:
        """Answer the next requests to an endpoint with these faults, whatever the id, before any other fault.

        :param endpoint: ``fetch``, ``submit``, ``model_reload``, ``model_list``, ``system_load``,
            ``request_count`` or ``any``.
        """
        self._service.script(endpoint, replies)

    def finish(self, request_id: int | str) -> None:
        """Make a request ready now.

        :raises KeyError: for an unknown id.
        """
        self._service.jobs[str(request_id)].finish()

    def put_to_sleep(self, model_id: str) -> None:
        """Unload a model: it has to be reloaded before its next use. :raises KeyError: for an unknown id."""
        self._service.models.put_to_sleep(model_id)

    def release(self) -> int:
        """End all that hangs now (the sockets are closed), and return how many they were."""
        return self._service.silence.end()

    # -- what it saw

    @property
    def journal(self) -> list[Record]:
        """Every request so far, oldest first; never with the key."""
        return self._service.journal()

    @property
    def hanging(self) -> int:
        """How many requests hang now."""
        return len(self._service.silence)

    @property
    def submits(self) -> list[Submit]:
        """Every submit so far, accepted or not, oldest first; bodies without the key."""
        return self._service.submits()

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted."""
        return self._service.connections

    def fetches(self, request_id: int | str) -> int:
        """How many fetches came for an id."""
        return self._service.fetches(request_id)

    def picture_requests(self, request_id: int | str, index: int = 0) -> int:
        """How many requests came for a picture."""
        return self._service.jobs[str(request_id)].picture_requests[index]

    def accepted(self, key: str | None = None) -> int:
        """How many submits were accepted (the service would have billed them), with one key or with all."""
        return self._service.accepted(None if key is None else self._service.account(key))
