# SPDX-License-Identifier: Apache-2.0
"""Which requests of a batch are due now, and what came of each: the whole of waiting, without I/O.

A batch is plain JSON at rest (:meth:`Batch.to_dict`): the trigger's argument, its event, and what
a rescheduled sensor leaves for its next look are the same document.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from airflow_provider_dreambooth.api.pacing import first_delay
from airflow_provider_dreambooth.api.polling import Finish, Poll, PollPolicy
from airflow_provider_dreambooth.api.replies import (
    Failed,
    Outcome,
    Pending,
    Ready,
    Refused,
    TimedOut,
    Unavailable,
    Verdict,
    outcome_from_dict,
    outcome_to_dict,
    read_eta,
)
from airflow_provider_dreambooth.api.request_ids import Requested

VERSION = 1
LONGEST_SPREAD = 30.0
"""Seconds over which overdue looks are spread at most, however long ``poke_interval`` is."""
LAST_ROUND = 60.0
"""Seconds without an answer that end the looks after the deadline: a long list must not hang there."""


class Batch:
    """
    The requests waited for together, with one policy and one deadline.

    :param requests: distinct requests; one whose submit already gave the pictures is finished at once.
    :param began: epoch seconds at which waiting began.
    :param deadline: epoch seconds; each unfinished request is looked at once more at or after it.
    """

    def __init__(
        self,
        requests: Iterable[Requested],
        *,
        began: float,
        deadline: float,
        policy: PollPolicy | None = None,
    ) -> None:
        self.began = began
        self.deadline = deadline
        self.policy = policy or PollPolicy()
        self.verdicts: dict[str, Verdict] = {}
        self._polls: dict[str, Poll] = {}
        self._due: list[tuple[float, str]] = []
        self._held_until = began
        self._taken: set[str] = set()
        self._last_round_ends = float("inf")
        for request in requests:
            if request.ready is not None:
                self.verdicts[request.request_id] = request.ready
                continue
            first = min(began + first_delay(request.eta, self.policy), max(deadline, began))
            self._look_at(Poll(request.request_id, eta=request.eta), first)

    @property
    def waiting(self) -> int:
        """How many requests have no verdict yet."""
        return len(self._polls)

    @property
    def waiting_ids(self) -> Collection[str]:
        """The requests that have no verdict yet."""
        return self._polls.keys()

    @property
    def request_ids(self) -> set[str]:
        """Every request of the batch, with a verdict or without."""
        return self.verdicts.keys() | self._polls.keys()

    @property
    def next_due(self) -> float:
        """Epoch seconds before which no look is due (infinity if all that wait are being looked at)."""
        return max(self._due[0][0], self._held_until) if self._due else float("inf")

    def take_due(self, now: float, most: int) -> list[str]:
        """Take up to ``most`` requests to look at now; give each one's outcome to :meth:`record`."""
        if now >= self.deadline:
            self._last_round_ends = min(self._last_round_ends, now + LAST_ROUND)
        taken: list[str] = []
        if now >= self._last_round_ends:
            self.give_up()
        while len(taken) < most and self._due and self.next_due <= now:
            due, request_id = heapq.heappop(self._due)
            # An entry of another time is what was due before somebody else's look was recorded here.
            if (poll := self._polls.get(request_id)) and poll.due == due:
                taken.append(request_id)
        self._taken.update(taken)
        return taken

    def spread_overdue(self, now: float) -> None:
        """
        Spread the looks that are late by more than an interval.

        The triggerer was away, and all its triggers come back at once. Each look's place within the interval
        comes from its request id.
        """
        spread = min(self.policy.poke_interval, LONGEST_SPREAD)
        for poll in self._polls.values():
            if poll.due < now - self.policy.poke_interval:
                poll.due = now + spread * zlib.crc32(poll.request_id.encode()) / 0xFFFFFFFF
        self._due = [(poll.due, poll.request_id) for poll in self._polls.values()]
        heapq.heapify(self._due)

    def give_up(self) -> None:
        """Time out everything that waits: it is past the deadline, and the service does not answer."""
        for request_id in self._polls:
            self.verdicts[request_id] = TimedOut(
                f"not looked at after the deadline, as no usable answer came for {LAST_ROUND:g} seconds then"
            )
        self._polls.clear()
        self._due.clear()

    def record(self, request_id: str, outcome: Outcome, now: float) -> None:
        """
        Take the outcome of one look, received at ``now`` (epoch seconds).

        A look that another batch took moves the next one of this batch, but counts for nothing else here:
        how many failures are too many, and how patience grows, is for each to say about its own looks.
        """
        own = request_id in self._taken
        self._taken.discard(request_id)
        if (poll := self._polls.get(request_id)) is None:
            # Finished meanwhile by a refusal that meant every request; but pictures that are there are there.
            if isinstance(outcome, Ready) and request_id in self.verdicts:
                self.verdicts[request_id] = outcome
            return
        if now >= self.deadline and not (
            isinstance(outcome, Unavailable) and (outcome.for_load or outcome.kind == "network")
        ):
            self._last_round_ends = now + LAST_ROUND
        judge = poll if own else replace(poll)
        decision = judge.decide(outcome, now, policy=self.policy, began=self.began, deadline=self.deadline)
        if isinstance(decision, Finish) and not own and isinstance(outcome, Unavailable | Pending):
            return  # it will look itself before it gives up
        if isinstance(decision, Finish):
            alike = isinstance(outcome, Refused) and outcome.account_wide
            for finished in list(self._polls) if alike else [request_id]:
                del self._polls[finished]
                self.verdicts[finished] = decision.verdict
            if alike:
                self._due.clear()
            return
        if own and isinstance(outcome, Unavailable) and outcome.for_load:
            # The limit is the account's: nobody of this batch asks before the service said so.
            self._held_until = max(self._held_until, now + decision.seconds)
        self._look_at(poll, now + decision.seconds)

    def _look_at(self, poll: Poll, due: float) -> None:
        poll.due = due
        self._polls[poll.request_id] = poll
        heapq.heappush(self._due, (due, poll.request_id))

    @property
    def progress(self) -> str:
        """Say how far it is, such as ``120 of 500 ready`` or ``120 of 500 ready, 2 failed``."""
        ready = sum(isinstance(verdict, Ready) for verdict in self.verdicts.values())
        failed = len(self.verdicts) - ready
        total = len(self.verdicts) + len(self._polls)
        return f"{ready} of {total} ready" + (f", {failed} failed" if failed else "")

    def to_dict(self) -> dict[str, Any]:
        """Make JSON primitives of the batch (a request being looked at counts as due)."""
        return {
            "version": VERSION,
            "began": self.began,
            "deadline": self.deadline,
            "held_until": self._held_until,
            "policy": self.policy.to_dict(),
            "waiting": [
                [poll.request_id, poll.due, poll.looks, poll.failures, poll.limited]
                + ([] if poll.eta is None else [poll.eta])
                for poll in self._polls.values()
            ],
            "verdicts": {key: outcome_to_dict(verdict) for key, verdict in self.verdicts.items()},
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Batch:
        """
        Read back :meth:`to_dict`.

        :raises ValueError: if it is no batch, or one of a version that this release does not know.
        """
        try:
            if stored["version"] != VERSION:
                raise ValueError(
                    f"a batch of format {stored['version']!r} cannot be read by this release, which knows "
                    f"format {VERSION}: run the same airflow-provider-dreambooth in worker and triggerer"
                )
            batch = cls(
                (),
                began=_instant(stored["began"]),
                deadline=_instant(stored["deadline"]),
                policy=PollPolicy.from_dict(stored["policy"]),
            )
            batch._held_until = _instant(stored["held_until"])
            for request_id, when, *known in stored["waiting"]:
                looks, failures, limited = (*map(int, known[:3]), 0, 0, 0)[:3]  # of another release: fewer
                eta = read_eta(known[3]) if len(known) > 3 else None
                batch._look_at(Poll(str(request_id), looks, failures, limited, eta), _instant(when))
            for request_id, verdict in stored["verdicts"].items():
                batch.verdicts[request_id] = _verdict(verdict)
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a stored batch ({type(error).__name__}: {error})") from error
        return batch


def _instant(value: Any) -> float:
    instant = float(value)
    if not isfinite(instant):
        raise ValueError(f"not a stored batch: {value!r} is no time")
    return instant


def _verdict(stored: Mapping[str, Any]) -> Verdict:
    verdict = outcome_from_dict(stored)
    if isinstance(verdict, Verdict):
        return verdict
    return Failed("no_output", "an unfinished request was stored as finished")
