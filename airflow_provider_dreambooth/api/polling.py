# SPDX-License-Identifier: Apache-2.0
"""When to ask again for one request: :meth:`Poll.decide` turns an outcome into Sleep or Finish.

``Sleep`` is the only way to go on and never shorter than :data:`MIN_SLEEP` (but for the last look
at the deadline), so no reply can make a hot loop. No clock and no random number is read in here:
the jitter comes from the request id, so the same scenario gives the same requests in every mode.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from airflow_provider_dreambooth.api.pacing import interval
from airflow_provider_dreambooth.api.replies import (
    Failed,
    Outcome,
    Pending,
    Ready,
    Refused,
    TimedOut,
    Unavailable,
    Verdict,
)

MIN_SLEEP = 0.1
MAX_SERVER_DELAY = 300.0
"""Longest delay (seconds) that a reply may ask for; a longer one is cut to this."""
MAX_FAILURE_DELAY = 60.0
"""Consecutive failures double the wait up to this many seconds, however short ``poke_interval`` is."""
JITTER = 0.1


@dataclass(frozen=True)
class PollPolicy:
    """
    How patiently to ask; Airflow's sensor parameters in seconds.

    :param poke_interval: wait between two looks; an eta may shorten it (``api/pacing.py``).
    :param exponential_backoff: double that wait after each look that found nothing.
    :param max_wait: longest of those waits; None leaves the deadline as the only bound.
    :param not_found_grace: how long after waiting began "Request not found" is taken as "not yet".
    :param max_consecutive_failures: unusable answers in a row that end the wait; None: never.
    """

    poke_interval: float = 5.0
    exponential_backoff: bool = False
    max_wait: float | None = None
    not_found_grace: float = 30.0
    max_consecutive_failures: int | None = 10

    def to_dict(self) -> dict[str, Any]:
        """Make JSON primitives of it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> PollPolicy:
        """Read back :meth:`to_dict`, ignoring what another version knows and this one does not."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in stored.items() if key in known})


@dataclass(frozen=True)
class Sleep:
    """Ask again after this many seconds."""

    seconds: float


@dataclass(frozen=True)
class Finish:
    """Do not ask again: this is how it ended."""

    verdict: Verdict


@dataclass(slots=True)
class Poll:
    """The wait for one request: looks that found nothing, and in a row failures and rate limits."""

    request_id: str
    looks: int = 0
    failures: int = 0
    limited: int = 0
    eta: float | None = None
    due: float = 0.0

    def decide(
        self, outcome: Outcome, now: float, *, policy: PollPolicy, began: float, deadline: float
    ) -> Sleep | Finish:
        """
        Judge one outcome; the deadline is judged after it, so a finished picture wins over a late clock.

        :param now: epoch seconds at which the outcome arrived.
        :param began: epoch seconds at which waiting began.
        :param deadline: epoch seconds after which an unfinished request has timed out.
        """
        told = 0.0
        match outcome:
            case Ready() | Refused():
                return Finish(outcome)
            case Failed() if outcome.kind != "not_found" or now - began >= policy.not_found_grace:
                return Finish(outcome)
            case Failed() | Pending():
                self.looks += 1
                self.failures = self.limited = 0
                delay = interval(self.eta, policy, waited=now - began, looks=self.looks)
            case Unavailable():
                if not outcome.for_load:  # a busy service is well: only the deadline ends that wait
                    budget = policy.max_consecutive_failures
                    if budget is not None and self.failures + 1 >= budget:
                        return Finish(outcome)
                self.failures += not outcome.for_load
                self.limited += outcome.for_load
                delay = self._after_failure(policy)
                told = outcome.retry_after or 0.0
        if now >= deadline:
            return Finish(TimedOut(_last_words(outcome)))
        # What the service asked for is only ever exceeded: to ask a little too early is refused again.
        told = min(told * (self._jitter() + JITTER), MAX_SERVER_DELAY)
        delay = max(delay * self._jitter(), told, MIN_SLEEP)
        return Sleep(min(delay, deadline - now))

    def _after_failure(self, policy: PollPolicy) -> float:
        doubled = policy.poke_interval * 2.0 ** min(max(self.failures + self.limited - 1, 0), 32)
        return max(policy.poke_interval, min(doubled, MAX_FAILURE_DELAY))

    def _jitter(self) -> float:
        """Spread requests that began together: a factor of 1 ± JITTER, the same every time."""
        seed = f"{self.request_id}#{self.looks + self.failures + self.limited}".encode()
        return 1.0 + JITTER * (zlib.crc32(seed) / 0x7FFFFFFF - 1.0)


def _last_words(outcome: Outcome) -> str:
    match outcome:
        case Pending():
            return f"still processing{f' ({outcome.message})' if outcome.message else ''}"
        case Failed() | Unavailable():
            return f"the last answer was: {outcome.message}"
        case Ready() | Refused():
            return "it had finished"
