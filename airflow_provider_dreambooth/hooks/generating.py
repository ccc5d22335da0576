# SPDX-License-Identifier: Apache-2.0
"""The hook's part that bills: submitting generations."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Unpack

from airflow_provider_dreambooth.api.exchange import text_without_key
from airflow_provider_dreambooth.api.generation import (
    IMAGE_TO_IMAGE,
    INPAINT,
    TEXT_TO_IMAGE,
    Generation,
    Kind,
    model_reload,
    read_generation,
)
from airflow_provider_dreambooth.api.generation_types import ImageToImage, Inpaint, TextToImage
from airflow_provider_dreambooth.api.replies import Failed, Outcome, Refused, Unavailable
from airflow_provider_dreambooth.api.submitting import (
    Accepted,
    Again,
    Attempts,
    GivenUp,
    SubmitPolicy,
    read_reload,
    read_submit,
)
from airflow_provider_dreambooth.exceptions import (
    DreamboothConnectionError,
    DreamboothError,
    DreamboothInputError,
    RequestFailure,
    error_for,
)
from airflow_provider_dreambooth.hooks.session import SessionHook
from airflow_provider_dreambooth.results import submitted
from airflow_provider_dreambooth.submit_errors import submit_error

if TYPE_CHECKING:
    from airflow_provider_dreambooth.client.sync import Client

_ONCE = SubmitPolicy()


class GeneratingHook(SessionHook):
    """
    Submit generations; each method returns as soon as the service has accepted one, and has an id.

    The result is ``{"request_id", "status", "eta", "output", "meta"}``: status ``success`` with links in
    ``output``, or ``processing`` with an ``eta`` in seconds. Give it to ``wait``.

    A submit is billed. It is repeated only if it certainly was not accepted; what may have been raises
    :class:`~airflow_provider_dreambooth.exceptions.DreamboothSubmitUnknown`, unless ``retry_unknown`` says
    otherwise.
    """

    def text_to_image(
        self, *, policy: SubmitPolicy = _ONCE, **parameters: Unpack[TextToImage]
    ) -> dict[str, Any]:
        """
        Generate pictures from a text, with ``lora_model`` also by LoRA models.

        :param policy: how far to repeat the submit.
        :param parameters: by the service's names; see the guide "Generate".
        :raises DreamboothInputError: naming a wrong parameter; nothing was sent.
        :raises DreamboothError: see :mod:`airflow_provider_dreambooth.exceptions`.
        """
        return self._generate(TEXT_TO_IMAGE, parameters, policy)

    def image_to_image(
        self, *, policy: SubmitPolicy = _ONCE, **parameters: Unpack[ImageToImage]
    ) -> dict[str, Any]:
        """Generate pictures from a picture and a text; see :meth:`text_to_image`."""
        return self._generate(IMAGE_TO_IMAGE, parameters, policy)

    def inpaint(self, *, policy: SubmitPolicy = _ONCE, **parameters: Unpack[Inpaint]) -> dict[str, Any]:
        """Generate anew what a mask shows white in a picture; see :meth:`text_to_image`."""
        return self._generate(INPAINT, parameters, policy)

    def reload_model(self, model_id: str) -> str:
        """
        Have a model loaded that the service has unloaded, which it does after 7 days without use.

        Returns what the service says, at once; the model is there after about two minutes. The form of the
        reply is not documented, so anything but an error is taken for a yes. Nothing is billed as far as is
        known, so faults that pass are tried again twice.

        :raises DreamboothInputError: if it is no model's id; nothing was sent.
        :raises DreamboothRequestRefused: if the service does not know the model.
        """

        def ask(client: Client) -> str | Failed | Refused | Unavailable:
            return read_reload(client.send(model_reload(client.config.api_version, model_id)))

        try:
            reply = self._patiently(lambda: self._with_fresh_key(ask))
        except ValueError as error:
            raise self.input_error(error) from None
        if isinstance(reply, str):
            return reply
        found = RequestFailure(f"model_reload of {self.without_key(model_id)}", reply.kind, reply.message)
        raise error_for([found], conn_id=self.dreambooth_conn_id, total=1)

    def submit_once(self, generation: Generation) -> Accepted | Outcome:
        """Send a submit once; whatever comes of it is the result."""
        return self._with_fresh_key(
            lambda client: read_submit(client.submit(generation.call(client.config.api_version)))
        )

    def submit_error(self, given_up: GivenUp, generation: Generation) -> DreamboothError:
        """Make the exception for a submit that is not repeated; it shows the API key nowhere."""
        api_key = self.get_conn().config.api_key
        return submit_error(given_up, generation, conn_id=self.dreambooth_conn_id, api_key=api_key)

    def input_error(self, wrong: ValueError) -> DreamboothInputError:
        """Make the exception for a wrong parameter: its value may be the API key, typed there by mistake."""
        said = str(wrong)
        with suppress(DreamboothConnectionError):  # without the connection nobody knows the key
            said = self.without_key(said)
        return DreamboothInputError(f"{said}. Nothing was sent.")

    def without_key(self, given: object) -> str:
        """Blank the API key in what the user gave, so that it can be shown or stored."""
        return text_without_key(str(given), self.get_conn().config.api_key)

    def _generate(self, kind: Kind, parameters: Mapping[str, Any], policy: SubmitPolicy) -> dict[str, Any]:
        given = dict(parameters)
        try:
            generation = read_generation(kind, given, given.pop("extra_parameters", None))
        except ValueError as error:
            raise self.input_error(error) from None
        attempts = Attempts(time.time(), seed=generation.fingerprint)
        while True:
            verdict = attempts.judge(self.submit_once(generation), time.time(), policy)
            match verdict:
                case Accepted():
                    # The hook remembers nothing: whatever fails after this, the id must not be lost.
                    self.log.info(
                        "Request %s: accepted on connection %r", verdict.request_id, self.dreambooth_conn_id
                    )
                    return submitted(verdict)
                case Again():
                    self.log.info("Submitting again in %.0f seconds: %s", verdict.seconds, verdict.why)
                    if verdict.reload:
                        self.reload_model(generation.model_id)
                    time.sleep(verdict.seconds)
                case _:
                    raise self.submit_error(verdict, generation)
