# SPDX-License-Identifier: Apache-2.0
"""What the operators that generate have in common: submit once, remember it, wait for the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator, Context, conf

from airflow_provider_dreambooth.api import parameters
from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.endpoints import FETCHES
from airflow_provider_dreambooth.api.generation import Generation, Kind, read_generation
from airflow_provider_dreambooth.api.packing import EVENT_VERSION
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.request_ids import Requested, RequestList
from airflow_provider_dreambooth.api.submitting import RELOAD_SECONDS, Accepted, Attempts, SubmitPolicy
from airflow_provider_dreambooth.exceptions import DreamboothUnsafePicture
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.links import (
    PICTURE_URL_KEY,
    REQUEST_URL_KEY,
    DreamboothPictureLink,
    DreamboothRequestLink,
)
from airflow_provider_dreambooth.operators.paid import paid
from airflow_provider_dreambooth.operators.remembered import Remembered
from airflow_provider_dreambooth.operators.submitting import Submitter, track_id_of
from airflow_provider_dreambooth.results import error_of, results_for, submitted
from airflow_provider_dreambooth.waiting import (
    DEFAULT_TIMEOUT,
    begin,
    check_at_least,
    keeping_ready,
    look_then_defer,
    raise_keeping_ready,
    resume,
    seconds,
    time_to_wait,
)

REQUEST_ID_KEY = "request_id"
SUBMITTED_KEY = "submitted"


class GenerateOperator(BaseOperator):
    """
    Submit a generation once, and return it at once or when its pictures are ready.

    XCom ``return_value`` is ``{"request_id", "status", "eta", "output", "meta"}``; XCom ``request_id`` is
    there before waiting begins. Parameters of the generation are described in
    :class:`~airflow_provider_dreambooth.api.generation_types.Generate`; None leaves one to the service.
    What is billed, and what a retry or a clear does: the guide "What is billed".

    :param dreambooth_conn_id: the connection of type ``dreambooth``. (templated)
    :param wait_for_completion: return the pictures; else what the submit's reply says.
    :param deferrable: wait, also for a free place in the queue, in the triggerer, without a worker slot.
    :param poke_interval: seconds between two looks at the request.
    :param timeout: seconds to wait for the pictures.
    :param queue_timeout: seconds for which a refusal for load (queue full, rate limit) is waited out.
    :param retry_unknown_submit: submit again what may have been accepted, or not; it may be billed twice.
    :param force_new: when the task was cleared, generate anew, whatever there is. (templated)
    :param reload_model: have the model loaded if the service does not find it.
    :param reload_seconds: how long loading is taken to last.
    :param fail_on_nsfw: fail if the service flags a picture as unsafe.
    :raises DreamboothInputError: naming a wrong parameter; nothing was sent.
    :raises DreamboothSubmitUnknown: if the submit may have been billed and no id came back. Not retried.
    :raises DreamboothGenerationFailed: if the service could not do it; a retry submits, and pays, anew.
    :raises DreamboothTransientError: if there is no link yet that can be used; a retry looks again.
    """

    kind: ClassVar[Kind]
    template_fields: Sequence[str] = ()
    template_fields_renderers: ClassVar[dict[str, str]] = {"extra_parameters": "json"}
    operator_extra_links = (DreamboothPictureLink(), DreamboothRequestLink())
    ui_color = "#e8dcf7"

    def __init__(
        self,
        *,
        model_id: str,
        prompt: str,
        negative_prompt: str | None = None,
        width: int | None = None,
        height: int | None = None,
        samples: int | None = None,
        guidance_scale: float | None = None,
        safety_checker: bool | None = None,
        safety_checker_type: str | None = None,
        enhance_prompt: bool = False,
        seed: int | None = None,
        scheduler: str | None = None,
        algorithm_type: str | None = None,
        use_karras_sigmas: bool | None = None,
        tomesd: bool | None = None,
        vae: str | None = None,
        embeddings_model: str | Sequence[str] | None = None,
        lora_model: str | Sequence[str] | None = None,
        lora_strength: float | Sequence[float] | None = None,
        clip_skip: int | None = None,
        base64: bool | None = None,
        temp: bool | None = None,
        webhook: str | None = None,
        track_id: str | None = None,
        extra_parameters: Mapping[str, Any] | None = None,
        dreambooth_conn_id: str = DreamboothHook.default_conn_name,
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float | timedelta = 5.0,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        queue_timeout: float | timedelta = 3600.0,
        retry_unknown_submit: bool = False,
        force_new: bool | str = False,
        reload_model: bool = False,
        reload_seconds: float = RELOAD_SECONDS,
        fail_on_nsfw: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id
        self.prompt = prompt
        self.negative_prompt = negative_prompt
        self.width = width
        self.height = height
        self.samples = samples
        self.guidance_scale = guidance_scale
        self.safety_checker = safety_checker
        self.safety_checker_type = safety_checker_type
        self.enhance_prompt = enhance_prompt
        self.seed = seed
        self.scheduler = scheduler
        self.algorithm_type = algorithm_type
        self.use_karras_sigmas = use_karras_sigmas
        self.tomesd = tomesd
        self.vae = vae
        self.embeddings_model = embeddings_model
        self.lora_model = lora_model
        self.lora_strength = lora_strength
        self.clip_skip = clip_skip
        self.base64 = base64
        self.temp = temp
        self.webhook = webhook
        self.track_id = track_id
        self.extra_parameters = extra_parameters
        self.dreambooth_conn_id = dreambooth_conn_id
        self.wait_for_completion = parameters.switch("wait_for_completion", wait_for_completion)
        self.deferrable = parameters.switch("deferrable", deferrable)
        self.poke_interval = seconds(poke_interval)
        self.timeout = seconds(timeout)
        self.queue_timeout = seconds(queue_timeout)
        self.retry_unknown_submit = parameters.switch("retry_unknown_submit", retry_unknown_submit)
        self.force_new = force_new
        self.reload_model = parameters.switch("reload_model", reload_model)
        self.reload_seconds = reload_seconds
        self.fail_on_nsfw = parameters.switch("fail_on_nsfw", fail_on_nsfw)
        check_at_least(
            poke_interval=(self.poke_interval, 0),
            timeout=(self.timeout, 0),
            queue_timeout=(self.queue_timeout, 0),
            reload_seconds=(self.reload_seconds, 0),
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Go on with what an earlier try submitted, or submit; then wait in the chosen way."""
        return self._submit(context, None)

    def submit_again(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take the event of the pause after a refusal for load, and try once more."""
        state = event.get("state") if event and event.get("version") == EVENT_VERSION else None
        return self._submit(context, Attempts.from_dict(state) if state else None)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take the trigger's event: return the pictures, or raise what went wrong."""
        ti: Any = context["ti"]
        with paid(context, None):
            stored = ti.xcom_pull(task_ids=self.task_id, key=SUBMITTED_KEY, map_indexes=ti.map_index)
            accepted = Accepted.from_dict(stored)
        with paid(context, accepted.request_id):
            asked = _asked(accepted)
            batch = resume(context, event, asked, self.dreambooth_conn_id)
            return self._conclude(context, accepted, batch, asked)

    def _submit(self, context: Context, attempts: Attempts | None) -> dict[str, Any]:
        submitter = self._submitter(context)
        found = submitter.earlier()  # after a pause too: Airflow may bring an event twice
        accepted = found if isinstance(found, Accepted) else submitter.submit(attempts or found)
        with paid(context, accepted.request_id):
            return self._go_on(context, accepted)

    def _submitter(self, context: Context) -> Submitter:
        try:
            generation = self._generation(context)
            force_new = parameters.given(self.force_new) and parameters.switch("force_new", self.force_new)
        except ValueError as error:
            with DreamboothHook(self.dreambooth_conn_id) as hook:
                raise hook.input_error(error) from None
        return Submitter(
            self,
            context,
            generation,
            self.dreambooth_conn_id,
            SubmitPolicy(
                self.queue_timeout, self.retry_unknown_submit, self.reload_model, self.reload_seconds
            ),
            self.deferrable,
            force_new,
        )

    def _generation(self, context: Context) -> Generation:
        given = {name: getattr(self, name) for name in self.kind.checks}
        if not parameters.given(given["track_id"]):
            given["track_id"] = track_id_of(context)
        return read_generation(self.kind, given, self.extra_parameters)

    def _go_on(self, context: Context, accepted: Accepted) -> dict[str, Any]:
        """Leave in XCom what is known, then return, or wait."""
        self._tell(context, accepted)
        if accepted.output or not self.wait_for_completion:
            return self._checked(context, submitted(accepted))
        asked = _asked(accepted)
        policy = PollPolicy(poke_interval=self.poke_interval)
        batch = begin(context, asked, timeout=time_to_wait(self), policy=policy)
        with keeping_ready(context, batch, asked):
            if self.deferrable:
                look_then_defer(self, batch, self.dreambooth_conn_id)
            else:
                with DreamboothHook(self.dreambooth_conn_id) as hook:
                    hook.wait_for(batch)
        return self._conclude(context, accepted, batch, asked)

    def _tell(self, context: Context, accepted: Accepted) -> None:
        ti: Any = context["ti"]
        ti.xcom_push(key=REQUEST_ID_KEY, value=accepted.request_id)
        ti.xcom_push(key=SUBMITTED_KEY, value=accepted.to_dict())
        with DreamboothHook(self.dreambooth_conn_id) as hook:
            base_url = hook.get_conn().config.base_url
        ti.xcom_push(key=REQUEST_URL_KEY, value=base_url + FETCHES["v3"](accepted.request_id).path)
        if links := accepted.output or accepted.future_links:
            ti.xcom_push(key=PICTURE_URL_KEY, value=links[0])

    def _conclude(
        self, context: Context, accepted: Accepted, batch: Batch, asked: RequestList
    ) -> dict[str, Any]:
        if error := error_of(batch, asked, self.dreambooth_conn_id):
            raise_keeping_ready(context, batch, asked, error)
        result = {"eta": None, "meta": None, **results_for(batch, asked)}
        ready = replace(
            accepted,
            eta=None,
            output=tuple(result["output"]),
            nsfw_content_detected=result.get("nsfw_content_detected"),
        )
        Remembered(context).finished(ready)
        context["ti"].xcom_push(key=PICTURE_URL_KEY, value=ready.output[0])
        self.log.info("Request %s: %s", ready.request_id, batch.progress)
        return self._checked(context, result)

    def _checked(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        found = result.get("nsfw_content_detected")
        if self.fail_on_nsfw and (any(found) if isinstance(found, list) else found):
            context["ti"].xcom_push(key="ready", value=[result])
            raise DreamboothUnsafePicture(
                f"Request {result['request_id']} (connection {self.dreambooth_conn_id!r}): the service "
                f"flagged a picture as unsafe, and fail_on_nsfw is set. It was billed; the links are in XCom "
                f"'ready'. Change the prompt: a retry would give the same."
            )
        return result


def _asked(accepted: Accepted) -> RequestList:
    one = Requested(accepted.request_id, accepted.eta, accepted.submitted_at, accepted.meta)
    return RequestList((one,), (one.request_id,), single=True)
