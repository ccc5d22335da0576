# SPDX-License-Identifier: Apache-2.0
"""One submit of one task: sent once, remembered, and taken up again by whatever try comes after."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, BaseOperator, Context

from airflow_provider_dreambooth.api.generation import Generation
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.replies import Failed, Outcome, Ready
from airflow_provider_dreambooth.api.submitting import Accepted, Again, Attempts, SubmitPolicy
from airflow_provider_dreambooth.exceptions import DreamboothConnectionError, RequestFailure, error_for
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.operators.remembered import Earlier, Remembered
from airflow_provider_dreambooth.submit_errors import unknown

SHORT = 5.0
"""Seconds that a worker sleeps through; for longer ones a task gives its slot back."""
_GRACE = PollPolicy().not_found_grace


def place_of(context: Context) -> str:
    """Name a task instance."""
    ti: Any = context["ti"]
    return f"{ti.dag_id}/{ti.task_id}/{ti.run_id}/{ti.map_index}"


def track_id_of(context: Context) -> str:
    """
    Name this try for the service, which repeats the name to a webhook: the same for each submit of a try.

    A hash, because a DAG's names are nobody else's business.
    """
    ti: Any = context["ti"]
    return hashlib.sha256(f"{place_of(context)}/{ti.try_number}".encode()).hexdigest()[:32]


def pause(
    task: BaseOperator, seconds: float, attempts: Attempts, *, deferrable: bool, can_be_moved: bool
) -> None:
    """
    Let time pass without a worker slot, if that can be; a short while is slept through.

    :param can_be_moved: Airflow starts the task anew later, and the task then knows where it was.
    :raises TaskDeferred: the trigger's event carries the attempts.
    :raises AirflowRescheduleException: if the task is not deferrable.
    """
    if seconds > SHORT and deferrable:
        from airflow_provider_dreambooth.triggers.pause import DreamboothPauseTrigger

        trigger = DreamboothPauseTrigger(until=time.time() + seconds, state=attempts.to_dict())
        task.defer(trigger=trigger, method_name="submit_again")
    if seconds > SHORT and can_be_moved:
        raise AirflowRescheduleException(datetime.fromtimestamp(time.time() + seconds, tz=UTC))
    time.sleep(seconds)


@dataclass(frozen=True)
class Submitter:
    """
    The submit of one task instance.

    :param force_new: a cleared task submits anew, whatever there is.
    """

    task: BaseOperator
    context: Context
    generation: Generation
    conn_id: str
    policy: SubmitPolicy
    deferrable: bool
    force_new: bool

    def earlier(self) -> Accepted | Attempts | None:
        """
        Give what is there already: a request to go on with, or the attempts of this try so far.

        The log says which it is, and why.

        :raises DreamboothSubmitUnknown: if a submit was sent and nobody knows what became of it.
        :raises DreamboothRequestNotFound: if the service does not know the request any more.
        """
        found = Remembered(self.context).read()
        return None if found is None else self._judged(found)

    def _judged(self, found: Earlier) -> Accepted | Attempts | None:
        if found.fingerprint != self.generation.fingerprint:
            self.task.log.info("The inputs have changed since try %s: submitting anew", found.try_number)
            return None
        if self.force_new and not found.same_tries:
            self.task.log.info("force_new is set: submitting anew, whatever try %s left", found.try_number)
            return None
        if found.state == "accepted" and found.accepted is not None:
            return self._attached(found, found.accepted)
        if found.state == "sending":
            if not self.policy.retry_unknown:
                raise unknown(
                    f"Try {found.try_number} sent its submit on connection {self.conn_id!r} at "
                    f"{datetime.fromtimestamp(found.at, tz=UTC):%Y-%m-%d %H:%M:%S} UTC, and no id came "
                    f"of it that is known here",
                    found.track_id,
                )
            self.task.log.warning(
                "What became of the submit of try %s is not known. retry_unknown_submit is set: submitting "
                "again; it may be billed twice",
                found.try_number,
            )
            return Attempts(time.time(), seed=place_of(self.context), unknown=1)
        return found.attempts if found.same_try else None

    def submit(self, attempts: Attempts | None) -> Accepted:
        """
        Submit, and again as far as nothing can have been billed.

        :raises DreamboothError: see :mod:`airflow_provider_dreambooth.submit_errors`.
        """
        memory = Remembered(self.context)
        attempts = attempts or Attempts(time.time(), seed=place_of(self.context))
        with DreamboothHook(self.conn_id) as hook:
            hook.get_conn()  # what cannot be used is told before anything is remembered
            memory.begin(hook.without_key(self.generation.track_id or ""))
            while True:
                outcome = self._send(hook, memory, attempts)
                verdict = attempts.judge(outcome, time.time(), self.policy)
                if isinstance(verdict, Accepted):
                    # First the log: from here on the id must not be lost, whatever fails.
                    self.task.log.info(
                        "Request %s: accepted on connection %r", verdict.request_id, self.conn_id
                    )
                    memory.accepted(self.generation, verdict)
                    return verdict
                if not isinstance(verdict, Again):
                    if not attempts.unknown:
                        memory.forget()
                    raise hook.submit_error(verdict, self.generation)
                kept = memory.refused(self.generation, attempts)
                self.task.log.info("Submitting again in %.0f seconds: %s", verdict.seconds, verdict.why)
                if verdict.reload:
                    said = hook.reload_model(self.generation.model_id)
                    self.task.log.info("Model %s is being loaded: %s", self.generation.model_id, said)
                pause(
                    self.task,
                    verdict.seconds,
                    attempts,
                    deferrable=self.deferrable and (kept or not memory.possible),
                    can_be_moved=kept,
                )
                found = memory.read()
                if found and not found.same_try:  # Airflow has given this try up, and another one runs
                    theirs = self._judged(found)
                    if isinstance(theirs, Accepted):
                        return theirs
                    attempts = theirs or attempts

    def _send(self, hook: DreamboothHook, memory: Remembered, attempts: Attempts) -> Accepted | Outcome:
        memory.sending(self.generation)
        try:
            return hook.submit_once(self.generation)
        except DreamboothConnectionError:  # its key was refused, and now it cannot be used at all
            if not attempts.unknown:
                memory.forget()
            raise
        except AirflowTaskTimeout:
            if memory.possible:  # the record keeps a retry from sending it again
                raise
            said = f"execution_timeout came during the submit on connection {self.conn_id!r}"
            raise unknown(said, hook.without_key(self.generation.track_id or "")) from None

    def _attached(self, found: Earlier, accepted: Accepted) -> Accepted | None:
        """Look at the request that is there already; None if it has failed, so that a new one is needed."""
        rid = accepted.request_id
        with DreamboothHook(self.conn_id) as hook:
            outcome = hook.look_once(rid)
        # What was ready once is not paid again, whatever the service says of it now; nor is a success without
        # a link that can be used: it was billed, and whoever waits for it is told.
        failed = outcome if isinstance(outcome, Failed) and not accepted.output else None
        if failed and failed.kind == "not_found":
            if time.time() - found.at > _GRACE:
                said = (
                    f"{failed.message}, although try {found.try_number} submitted it; to generate anew, "
                    f"clear the task with force_new=True"
                )
                raise error_for([RequestFailure(rid, "not_found", said)], conn_id=self.conn_id, total=1)
        elif failed and failed.kind == "job_failed":
            self.task.log.warning(
                "Request %s, accepted by try %s, has failed (%s): submitting anew, which is billed anew",
                rid,
                found.try_number,
                failed.message,
            )
            return None
        self.task.log.info(
            "Request %s was accepted by try %s: going on with it. Nothing is submitted or billed",
            rid,
            found.try_number,
        )
        if isinstance(outcome, Ready):
            nsfw = outcome.nsfw_content_detected
            return replace(accepted, eta=None, output=outcome.output, nsfw_content_detected=nsfw)
        return replace(accepted, eta=None)
