# SPDX-License-Identifier: Apache-2.0
"""What a task remembers of its submit over retries and clears, so that it does not pay twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow.providers.common.compat.sdk import Context

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
    """

    def __init__(self, context: Context) -> None:
        self._store: Any = context.get("task_state_store")
        self._ti: Any = context["ti"]

    @property
    def possible(self) -> bool:
        """Whether this Airflow has a place for it."""
        return self._store is not None

    def read(self) -> Earlier | None:
        """Give what an earlier try left; None if there is nothing that this release understands."""
        found: Any = self._store.get(KEY) if self.possible else None
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

    def write(
        self,
        state: State,
        fingerprint: str,
        track_id: str | None,
        *,
        attempts: Attempts | None = None,
        accepted: Accepted | None = None,
    ) -> None:
        """Leave a record, in place of the one that was there."""
        if self.possible:
            record = {
                "version": VERSION,
                "state": state,
                "fingerprint": fingerprint,
                "max_tries": self._ti.max_tries,
                "try_number": self._ti.try_number,
                "track_id": track_id,
                "at": time.time(),
                "attempts": attempts.to_dict() if attempts else None,
                "accepted": accepted.to_dict() if accepted else None,
            }
            self._store.set(KEY, record)

    def finished(self, accepted: Accepted) -> None:
        """
        Add the links: a cleared task then has them even if the service has forgotten them.

        A store that fails now does not cost the task its pictures; that is in the log.
        """
        try:
            found: Any = self._store.get(KEY) if self.possible else None
            if isinstance(found, Mapping):
                # "accepted" also if the store did not take that while the request was under way.
                self._store.set(KEY, {**found, "state": "accepted", "accepted": accepted.to_dict()})
        except Exception:
            log.warning("The links could not be kept in the task state store", exc_info=True)

    def forget(self) -> None:
        """Remove the record: there is nothing that a retry could go on with."""
        if self.possible:
            self._store.delete(KEY)
