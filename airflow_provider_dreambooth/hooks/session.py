# SPDX-License-Identifier: Apache-2.0
"""The hook's session with the service: opened when it is needed, with the key that the connection has now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow.providers.common.compat.sdk import BaseHook
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt

from airflow_provider_dreambooth.api.polling import MAX_SERVER_DELAY
from airflow_provider_dreambooth.api.replies import Refused, Unavailable
from airflow_provider_dreambooth.client.config import ClientConfig
from airflow_provider_dreambooth.hooks.connection import read_connection

if TYPE_CHECKING:
    # Imported where it is used: each parsing of a DAG would pay for requests, which only a task needs.
    from airflow_provider_dreambooth.client.sync import Client

ATTEMPTS = 3
T = TypeVar("T")


class SessionHook(BaseHook):
    """
    An Airflow connection and the session that is opened with it.

    The connection is looked up at the first call, not in ``__init__``. Usable as a context manager,
    which closes the session at its end.

    :param dreambooth_conn_id: the connection of type ``dreambooth``.
    """

    def __init__(self, dreambooth_conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dreambooth_conn_id = dreambooth_conn_id
        self._client: Client | None = None
        self._retired: list[Client] = []
        self._lock = threading.Lock()

    def get_conn(self) -> Client:
        """
        Return the session with the service, opened at the first call.

        :raises DreamboothConnectionError: if the connection has no key or holds a bad value.
        """
        if self._client is None:
            self._client = _open(read_connection(self.dreambooth_conn_id, self.get_connection))
        return self._client

    def close(self) -> None:
        """Close the session; the next call opens a new one and looks the connection up again."""
        for client in (self._client, *self._retired):
            if client is not None:
                client.close()
        self._client = None
        self._retired.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _with_fresh_key(self, ask: Callable[[Client], T]) -> T:
        """Ask; if the key is refused, look the connection up once more: it may have been changed."""
        client = self.get_conn()
        result = ask(client)
        if isinstance(result, Refused) and result.kind == "key_refused":
            renewed = self._renewed(client)
            if renewed is not client:
                return ask(renewed)
        return result

    def _renewed(self, refused: Client) -> Client:
        with self._lock:  # several threads of one look may have been refused at once
            if self._client is refused and not refused.key_is_current:
                config = read_connection(self.dreambooth_conn_id, self.get_connection)
                if config == refused.config:
                    refused.key_is_current = True
                else:
                    self._retired.append(refused)
                    self._client = _open(config)
            return self.get_conn()

    def _patiently(self, ask: Callable[[], T]) -> T:
        result: T = Retrying(
            retry=retry_if_result(lambda outcome: isinstance(outcome, Unavailable)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait_as_told,
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )(ask)
        return result


def _open(config: ClientConfig) -> Client:
    from airflow_provider_dreambooth.client.sync import Client

    return Client(config)


def _wait_as_told(state: RetryCallState) -> float:
    """Wait as long as the service asked for, at least a second, doubling."""
    outcome = state.outcome.result() if state.outcome else None
    told = outcome.retry_after if isinstance(outcome, Unavailable) else None
    return max(2.0 ** (state.attempt_number - 1), min(told or 0.0, MAX_SERVER_DELAY))
