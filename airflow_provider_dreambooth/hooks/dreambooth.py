# SPDX-License-Identifier: Apache-2.0
"""The hook: an Airflow connection to the Stable Diffusion API (ModelsLab), for workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.endpoints import MODEL_LIST, SYSTEM_LOAD, Call
from airflow_provider_dreambooth.api.exchange import Answer
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.replies import Failed, Outcome, Pending, Ready, Refused, Unavailable
from airflow_provider_dreambooth.exceptions import DreamboothInputError, RequestFailure, error_for
from airflow_provider_dreambooth.hooks.generating import GeneratingHook
from airflow_provider_dreambooth.results import error_of, read_request_ids, results_for

if TYPE_CHECKING:
    from airflow_provider_dreambooth.client.sync import Client


class DreamboothHook(GeneratingHook):
    """
    Talk to the Stable Diffusion API (ModelsLab) with the key of an Airflow connection.

    The connection is looked up at the first call, not in ``__init__``. Usable as a context manager,
    which closes the session at its end.

    :param dreambooth_conn_id: the connection of type ``dreambooth``.
    """

    conn_name_attr = "dreambooth_conn_id"
    default_conn_name = "dreambooth_default"
    conn_type = "dreambooth"
    hook_name = "Stable Diffusion API (Dreambooth)"

    def __init__(self, dreambooth_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(dreambooth_conn_id, **kwargs)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Shape the connection form of Airflow 2.11; Airflow 3 reads the provider info instead."""
        return {
            "hidden_fields": ["login", "schema", "port"],
            "relabeling": {"password": "API key", "host": "Base URL"},
            "placeholders": {
                "host": "https://modelslab.com",
                "extra": '{"api_version": "v4", "timeout": 30}',
            },
        }

    def fetch(self, request_id: int | str) -> Outcome:
        """
        Ask for the pictures of one request and return what the service says, as one typed outcome.

        Faults that pass (no connection, HTTP 5xx, rate limit) are tried again twice, after the delay
        the service asks for, at most 300 seconds; fetching bills nothing. What remains of them is returned as
        :class:`~airflow_provider_dreambooth.api.replies.Unavailable`, not raised.

        :raises DreamboothInputError: if it is no request id; nothing was sent.
        :raises DreamboothConnectionError: if the connection cannot be used; nothing was sent.
        """
        asked = read_request_ids(request_id)
        if not asked.single:
            raise DreamboothInputError("fetch() takes one request id; wait() takes a list. Nothing was sent.")
        return self._patiently(lambda: self.look_once(asked.order[0]))

    def wait(
        self,
        request_id: Any,
        *,
        timeout: float = 3600.0,
        policy: PollPolicy | None = None,
    ) -> Any:
        """
        Wait in this process until the pictures are ready.

        :param request_id: an id, a list of ids, or what a generation task returned.
        :param timeout: seconds from now to the deadline; each request is looked at once more then.
        :param policy: how patiently to ask; see
            :class:`~airflow_provider_dreambooth.api.polling.PollPolicy`.
        :return: for one id a dict with ``request_id``, ``status`` and ``output`` (the links); for a list,
            a list of these in the order given.
        :raises DreamboothError: the class tells what a retry does; see
            :mod:`airflow_provider_dreambooth.exceptions`.
        """
        asked = read_request_ids(request_id)
        began = time.time()
        batch = Batch(asked.requests, began=began, deadline=began + timeout, policy=policy)
        self.wait_for(batch)
        if error := error_of(batch, asked, self.dreambooth_conn_id, kept="in this exception's 'ready'"):
            raise error
        return results_for(batch, asked)

    def wait_for(self, batch: Batch) -> None:
        """Look at the batch's requests as they fall due until each has its verdict; log what changes."""
        progress = ""
        while batch.waiting:
            time.sleep(max(batch.next_due - time.time(), 0.0))
            self.look(batch)
            if batch.progress != progress:
                progress = batch.progress
                self.log.info("%s on connection %r", progress, self.dreambooth_conn_id)

    def look(self, batch: Batch, until: float = float("inf")) -> None:
        """
        Ask once for each request of the batch that is due, ``max_connections`` at a time.

        :param until: epoch seconds; no further request is begun after it.
        """
        from airflow_provider_dreambooth.client.sync import look

        look(batch, self.look_once, most=self.get_conn().config.max_connections, until=until)

    def system_load(self) -> dict[str, Any]:
        """
        Return the length of the service's queue: ``queue_num`` and ``queue_time`` as published.

        :raises DreamboothError: if the service does not say.
        """
        load: dict[str, Any] = self._document(
            SYSTEM_LOAD, lambda it: isinstance(it, dict) and "queue_num" in it
        )
        return load

    def list_models(self) -> list[dict[str, Any]]:
        """
        Return the models this account may use, each a dict with ``model_id``, ``status`` and more.

        :raises DreamboothError: if the service does not say.
        """
        models: list[dict[str, Any]] = self._document(
            MODEL_LIST, lambda it: isinstance(it, list) and all(isinstance(one, dict) for one in it)
        )
        return models

    def test_connection(self) -> tuple[bool, str]:
        """Check host and key for the "Test" button, by asking for a request that cannot be: not billed."""
        try:
            place = self.get_conn().config.base_url
            outcome = self.look_once("0")
        except ValueError as error:
            return False, str(error)
        finally:
            self.close()
        match outcome:
            case Ready() | Pending() | Failed(kind="not_found"):
                return True, f"{place} answers and accepts the API key"
            case Refused(kind="key_refused"):
                return False, f"{place} answers, but it refuses the API key: {outcome.message}"
            case Refused(kind="redirected"):
                return False, f"{place} sends us elsewhere: {outcome.message}"
            case Refused(kind="quota" | "forbidden"):
                return False, f"{place} answers, but it refuses this account: {outcome.message}"
            case Refused() | Failed():
                return False, f"{place} answers, but not to what was asked: {outcome.message}"
            case Unavailable(kind="network"):
                return False, f"Not reachable: {outcome.message}"
            case Unavailable(kind="unreadable"):
                return False, f"{place} is not this API: {outcome.message}"
            case Unavailable():
                return False, f"{place} cannot answer now: {outcome.message}"

    def look_once(self, request_id: str) -> Outcome:
        """Ask once for the pictures of one request."""
        return self._with_fresh_key(lambda client: client.fetch(request_id))

    def _document(self, call: Call, is_it: Callable[[Any], bool]) -> Any:
        def ask(client: Client) -> Any:
            answer = client.send(call)
            if not isinstance(answer, Answer):
                return answer
            document = answer.json()
            return document if is_it(document) else answer.outcome()

        document = self._patiently(lambda: self._with_fresh_key(ask))
        if is_it(document):
            return document
        if not isinstance(document, (Refused, Unavailable)):
            document = Unavailable("unreadable", "the reply is not what this endpoint is documented to give")
        found = RequestFailure(call.path, document.kind, document.message)
        raise error_for([found], conn_id=self.dreambooth_conn_id, total=1)
