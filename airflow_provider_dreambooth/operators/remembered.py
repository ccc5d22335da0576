# SPDX-License-Identifier: Apache-2.0
"""What a task remembers of its submit over retries and clears, so that it does not pay twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from airflow.providers.common.compat.sdk import Context

from airflow_provider_dreambooth.api.generation import Generation
from airflow_provider_dreambooth.api.submitting import Accepted, Attempts

log = logging.getLogger(__name__)
KEY = "dreambooth_submit"
VERSION = 1
State = Literal["sending", "refused", "accepted"]


@dataclass(frozen=True)
class Earlier:
    """
    What an earlier try of this task left.

    ``sending``: a submit was about to be sent, and nothing is known of it. ``refused``: it was refused and
    was to be sent again. ``accepted``: the service has it.

    :param same_tries: nobody has cleared the task since then: this is a try, or a continuation, of the same
        run.
    :param same_try: it was left by this very try.
    :param at: epoch seconds.
    """

    state: State
    fingerprint: str
    same_tries: bool
    same_try: bool
    try_number: int
    track_id: str | None
    at: float
    attempts: Attempts | None
    accepted: Accepted | None


class Remembered:
    """
    The record of one task instance, in Airflow's task state store.

    The store is there from Airflow 3.3 on, and outlives retries and clears, unlike XCom. Before that
    nothing is remembered.

    What was there when a submit began is kept in its record: if it is refused, nothing was billed for it, and
    what there was before still counts. A refusal after an attempt that may have been accepted ends no doubt.
    """

    def __init__(self, context: Context) -> None:
        self._store: Any = context.get("task_state_store")
        self._ti: Any = context["ti"]
        self._former: Any = None
        self._track_id: str | None = None

    @property
    def possible(self) -> bool:
        """Whether this Airflow has a place for it."""
        return self._store is not None

    def read(self) -> Earlier | None:
        """Give what an earlier try left; None if there is nothing that this release understands."""
        found = self._found()
        if isinstance(found, Mapping) and found.get("try_number") != self._ti.try_number:
            found = _left_by(found)
        if not isinstance(found, Mapping) or found.get("version") != VERSION:
            return None
        attempts, accepted = found.get("attempts"), found.get("accepted")
        return Earlier(
            state=found["state"],
            fingerprint=found["fingerprint"],
            # Airflow raises max_tries when a task is cleared, and only then.
            same_tries=found["max_tries"] == self._ti.max_tries,
            same_try=found["try_number"] == self._ti.try_number,
            try_number=found["try_number"],
            track_id=found["track_id"],
            at=found["at"],
            attempts=Attempts.from_dict(attempts) if attempts else None,
            accepted=Accepted.from_dict(accepted) if accepted else None,
        )

    def begin(self, track_id: str) -> None:
        """
        Note what is there, before a submit takes its place.

        :param track_id: the submit's, freed of the key: the record is stored in clear text.
        """
        self._track_id = track_id
        self._former = _left_by(self._found())

    def sending(self, generation: Generation) -> None:
        """Note that a submit is about to leave. A store that fails now has nothing sent."""
        self._write("sending", generation, former=self._former)

    def refused(self, generation: Generation, attempts: Attempts) -> bool:
        """Note that it is to be sent again; tell whether a new start of the task will know of that."""
        try:
            self._write("refused", generation, former=self._former, attempts=attempts.to_dict())
        except Exception:
            log.warning("The refusal of the submit could not be kept in the task state store", exc_info=True)
            return False
        return self.possible

    def accepted(self, generation: Generation, accepted: Accepted) -> None:
        """Note the request."""
        with _logged(
            f"Request {accepted.request_id} could not be kept in the task state store; a retry will not know "
            f"of it, and will say so instead of submitting again"
        ):
            self._write("accepted", generation, accepted=accepted.to_dict())

    def finished(self, accepted: Accepted) -> None:
        """Add the links: a cleared task then has them even if the service has forgotten them."""
        with _logged("The links could not be kept in the task state store"):
            found = self._found()
            if self._is_own(found, accepted.request_id):
                # "accepted" also if the store did not take that while the request was under way.
                self._store.set(KEY, {**found, "state": "accepted", "accepted": accepted.to_dict()})

    def forget(self, request_id: str | None = None) -> None:
        """Remove the record, or put back what was there when the submit began."""
        with _logged("The record of the submit could not be removed from the task state store"):
            if not self._is_own(self._found(), request_id):
                return
            if self._former is not None:
                self._store.set(KEY, self._former)
            else:
                self._store.delete(KEY)

    def _is_own(self, record: Any, request_id: str | None) -> bool:
        """Tell whether it is this submit's: Airflow may have given this try up, and another one submitted."""
        if not isinstance(record, Mapping):
            return False
        if accepted := record.get("accepted"):
            return bool(accepted["request_id"] == request_id)
        return bool(record.get("try_number") == self._ti.try_number)

    def _found(self) -> Any:
        return self._store.get(KEY) if self.possible else None

    def _write(self, state: State, generation: Generation, **more: Any) -> None:
        if self.possible:
            record = {
                "version": VERSION,
                "state": state,
                "fingerprint": generation.fingerprint,
                "max_tries": self._ti.max_tries,
                "try_number": self._ti.try_number,
                "track_id": self._track_id,
                "at": time.time(),
            }
            self._store.set(KEY, record | more)


def _left_by(record: Any) -> Any:
    """
    Give what a record says once its try is over: of a refused submit, what was there before.

    But if an attempt before the refusal may have been accepted, that doubt outweighs what was there.
    """
    if (
        not isinstance(record, Mapping)
        or record.get("version") != VERSION
        or record.get("state") != "refused"
    ):
        return record
    if (record.get("attempts") or {}).get("unknown"):
        return {**record, "state": "sending", "former": None}
    return record.get("former")


@contextmanager
def _logged(failed: str) -> Iterator[None]:
    """Go on if the store fails: what the service said, and the pictures, must not be lost with it."""
    try:
        yield
    except Exception:
        log.warning(failed, exc_info=True)
