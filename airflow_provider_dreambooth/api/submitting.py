# SPDX-License-Identifier: Apache-2.0
"""What became of a submit, and whether it may be sent once more: :meth:`Attempts.judge`.

A submit is billed, and the service has no key by which it would know a repetition. So it is repeated only
if it certainly was not accepted: it did not reach the service, or the service refused it for load. Whatever
else went wrong is *unknown*: that is the user's to decide, unless it certainly was accepted.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from airflow_provider_dreambooth.api import wording
from airflow_provider_dreambooth.api.exchange import Answer
from airflow_provider_dreambooth.api.polling import MAX_SERVER_DELAY
from airflow_provider_dreambooth.api.replies import (
    Failed,
    Outcome,
    Pending,
    Ready,
    Refused,
    Unavailable,
    read_links,
    read_meta,
)
from airflow_provider_dreambooth.api.reply_ids import id_of, id_within

RELOAD_SECONDS = 120.0
""""It takes 2 minutes to reload" a model, says the service's documentation."""
_RELOAD_PATIENCE = 5
"""Times as long as a reload should take, "model not found" is taken for "not yet"."""
_RELOAD_POLLS = 4
"""Submits in the time that a reload should take, once that time is over."""
_ATTEMPTS = 3
_NO_ERROR = ("", "0", "200", "202", "ok", "success")
_LOAD_DELAY = 30.0
"""Seconds, if the service does not say: what it asks for where it says."""


@dataclass(frozen=True)
class Accepted:
    """
    The service took the submit, and bills it.

    :param eta: seconds, as the service estimates; None if it does not say, or if the pictures are there.
    :param output: the links, if the pictures are there.
    :param future_links: where the service expects to put them.
    :param submitted_at: epoch seconds at which the reply was there.
    """

    request_id: str
    eta: float | None = None
    meta: Any = None
    output: tuple[str, ...] = ()
    nsfw_content_detected: Any = None
    future_links: tuple[str, ...] = ()
    submitted_at: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Make JSON primitives of it."""
        stored = asdict(self)
        return stored | {"output": list(self.output), "future_links": list(self.future_links)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Accepted:
        """Read back :meth:`to_dict`, ignoring what another version knows."""
        known = {one.name: stored[one.name] for one in fields(cls) if one.name in stored}
        links = {name: tuple(known.get(name) or ()) for name in ("output", "future_links")}
        return cls(**known | links)


def read_submit(answer: Answer | Refused | Unavailable) -> Accepted | Outcome:
    """Read the reply to a submit; one that is accepted without an id stays the outcome that it looks like."""
    if not isinstance(answer, Answer):
        if isinstance(answer, Refused) and answer.http_status == 303:  # "done; the result is over there"
            return Unavailable("unreadable", answer.message, answer.http_status)
        return answer
    outcome = answer.outcome()
    found = answer.json()
    document = found if isinstance(found, Mapping) else {}
    request_id = id_of(document)
    if request_id is None or _only_names_the_call(document, answer, outcome):
        return _read_without_id(document, answer, outcome)
    if isinstance(outcome, Failed) and outcome.kind != "no_output":
        return _naming(request_id, outcome)
    if isinstance(outcome, Refused | Unavailable):
        # What has an id was taken, whatever else is said: it counts neither as refused nor as not billed.
        said = f"{outcome.kind.replace('_', ' ')}: {outcome.message}"
        return _naming(request_id, Unavailable("unreadable", said, answer.http_status))
    return Accepted(  # also if it says "success" without links: fetching is free, and tells whether they come
        request_id,
        eta=outcome.eta if isinstance(outcome, Pending) else None,
        meta=read_meta(document),
        output=outcome.output if isinstance(outcome, Ready) else (),
        nsfw_content_detected=outcome.nsfw_content_detected if isinstance(outcome, Ready) else None,
        future_links=read_links(document.get("future_links"), 4),
    )


def _only_names_the_call(document: Mapping[str, Any], answer: Answer, outcome: Outcome) -> bool:
    """
    Tell whether the id in a refusal is no request's, but how a gateway traces the call: a word.

    Only if nothing else hints at a request; to take a paid one for refused is the worse mistake.
    """
    refused = isinstance(outcome, Refused) or (isinstance(outcome, Unavailable) and outcome.for_load)
    status = wording.one_line(document.get("status")).lower()
    return (
        refused
        and (400 <= answer.http_status < 500 or status in ("error", "failed"))
        and not any(document.get(name) for name in ("id", "fetch_result", "future_links", "output", "eta"))
        and id_within(answer.body) is None
    )


def _read_without_id(document: Mapping[str, Any], answer: Answer, outcome: Outcome) -> Outcome:
    # A number is the HTTP status, as gateways and frameworks repeat it.
    own_words = any(isinstance(document.get(name), str) and document[name] for name in ("status", "code"))
    broken = answer.http_status >= 500 or answer.http_status == 408
    if document and broken and not own_words and isinstance(outcome, Refused | Unavailable):
        # A gateway's or a framework's words: they do not say what became of the submit behind it.
        outcome = Unavailable("server_error", outcome.message, answer.http_status)
    hopeful = isinstance(outcome, Pending) or (isinstance(outcome, Unavailable) and not outcome.for_load)
    request_id = id_within(answer.body) if hopeful else None
    nobody = answer.http_status in (404, 405) and not answer.broken and request_id is None
    if nobody and isinstance(outcome, Unavailable) and outcome.kind == "unreadable":
        # Neither the service's words nor a gateway's trouble: at this address nothing takes a submit.
        return Refused("invalid_request", outcome.message, answer.http_status)
    return _naming(request_id, outcome)


def _naming(request_id: str | None, outcome: Outcome) -> Outcome:
    """Have the message name the request: it may have been billed, and by its id it can be fetched."""
    if request_id is None or isinstance(outcome, Ready):
        return outcome
    named = replace(outcome, message=f"request {request_id}: {outcome.message}")
    return replace(named, request_id=request_id) if isinstance(named, Unavailable) else named


def read_reload(answer: Answer | Refused | Unavailable) -> str | Failed | Refused | Unavailable:
    """
    Read the reply to ``model_reload``: what the service says, or why it will not.

    Its form is not documented, so any JSON object that is no error is taken for a yes.
    """
    if not isinstance(answer, Answer):
        return answer
    document, outcome = answer.json(), answer.outcome()
    if isinstance(document, Mapping) and answer.http_status < 400:
        status, code = (wording.one_line(document.get(name)).lower() for name in ("status", "code"))
        fine = status in ("success", "processing") or (not document.get("error") and code in _NO_ERROR)
        if fine and status not in ("error", "failed"):
            return wording.message_of(document)[1] or status or "nothing more"
    if isinstance(outcome, Ready | Pending):  # an HTTP error that says "success"
        return Unavailable("unreadable", f"HTTP {answer.http_status}", answer.http_status)
    return outcome


@dataclass(frozen=True)
class SubmitPolicy:
    """
    How far a user lets a submit be repeated.

    :param queue_timeout: seconds from the first attempt for which a refusal for load is waited out.
    :param retry_unknown: repeat also what may have been accepted, or not; it may be billed twice.
    :param reload_model: have a model loaded that the service does not find.
    :param reload_seconds: how long loading is taken to last.
    """

    queue_timeout: float = 0.0
    retry_unknown: bool = False
    reload_model: bool = False
    reload_seconds: float = RELOAD_SECONDS


@dataclass(frozen=True)
class Again:
    """Submit again after so many seconds. ``reload``: but first have the model loaded."""

    seconds: float
    why: str
    reload: bool = False


@dataclass(frozen=True)
class GivenUp:
    """
    Do not submit again.

    ``refused``: the service will not, whoever asks. ``queue``: it was too busy for too long. ``unreached``:
    nothing arrived there. ``failed``: it took the request and could not do it. ``unknown``: it may have
    taken it.
    """

    kind: Literal["refused", "queue", "unreached", "failed", "unknown"]
    outcome: Outcome
    doubt: bool = field(default=False, compare=False)
    """Whether an earlier attempt may have been accepted: then more may be billed than this one tells."""


@dataclass
class Attempts:
    """
    The attempts at one submit so far; JSON primitives all of it.

    :param began: epoch seconds of the first.
    :param seed: spreads those who were refused together; the same for the same task.
    """

    began: float
    seed: str = ""
    for_load: int = 0
    unreached: int = 0
    unknown: int = 0
    reloaded_at: float | None = None

    def judge(
        self, outcome: Accepted | Outcome, now: float, policy: SubmitPolicy
    ) -> Accepted | Again | GivenUp:
        """
        Say what follows from the outcome of one attempt.

        :param now: epoch seconds at which it arrived.
        """
        verdict = self._judge(outcome, now, policy)
        if isinstance(verdict, GivenUp) and verdict.kind != "unknown":
            return replace(verdict, doubt=self.unknown > 0)
        return verdict

    def _judge(
        self, outcome: Accepted | Outcome, now: float, policy: SubmitPolicy
    ) -> Accepted | Again | GivenUp:
        match outcome:
            case Accepted():
                return replace(outcome, submitted_at=now)
            case Refused(kind="model_not_found") if policy.reload_model:
                return self._reload(outcome, now, policy)
            case Refused():
                return GivenUp("refused", outcome)
            case Failed(kind="job_failed"):
                return GivenUp("failed", outcome)
            case Unavailable(for_load=True):
                return self._wait_for_room(outcome, now, policy)
            case Unavailable(sent=False):
                self.unreached += 1
                if self.unreached >= _ATTEMPTS:
                    return GivenUp("unreached", outcome)
                return Again(2.0**self.unreached, outcome.message)
            case Ready() | Pending() | Failed() | Unavailable():
                return self._repeat_unknown(outcome, policy)

    def _repeat_unknown(
        self, outcome: Ready | Pending | Failed | Unavailable, policy: SubmitPolicy
    ) -> Again | GivenUp:
        """Go by the user's word; but what the service says that it took, or has named, is never repeated."""
        self.unknown += 1
        asked = policy.retry_unknown and self.unknown < _ATTEMPTS
        if asked and isinstance(outcome, Unavailable) and outcome.request_id is None:
            # The service takes an identical request within 30 seconds for spam.
            seconds = _LOAD_DELAY * self._spread(self.unknown)
            return Again(seconds, f"it is not known what became of it: {outcome.message}")
        return GivenUp("unknown", outcome)

    def _reload(self, outcome: Refused, now: float, policy: SubmitPolicy) -> Again | GivenUp:
        if self.reloaded_at is None:
            self.reloaded_at = now
            return Again(policy.reload_seconds, outcome.message, reload=True)
        if now - self.reloaded_at < _RELOAD_PATIENCE * policy.reload_seconds:
            return Again(policy.reload_seconds / _RELOAD_POLLS, outcome.message)
        return GivenUp("refused", outcome)

    def _wait_for_room(self, outcome: Unavailable, now: float, policy: SubmitPolicy) -> Again | GivenUp:
        """Wait as long as told, longer each time; what was refused together does not come back together."""
        until = self.began + policy.queue_timeout
        if now >= until:
            return GivenUp("queue", outcome)
        self.for_load += 1
        self.unreached = 0  # it answers: a line that fails now and then must not end a long wait
        told = _LOAD_DELAY if outcome.retry_after is None else outcome.retry_after
        longer = max(told, 0.1) * 1.5 ** min(self.for_load - 1, 8)
        delay = min(longer, max(told, MAX_SERVER_DELAY)) * self._spread(self.for_load)
        return Again(min(delay, until - now), outcome.message)

    def _spread(self, attempt: int) -> float:
        """Give a factor from 1 to 2, the same every time."""
        return 1.0 + zlib.crc32(f"{self.seed}#{attempt}".encode()) / 0xFFFFFFFF

    def to_dict(self) -> dict[str, Any]:
        """Make JSON primitives of it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Attempts:
        """Read back :meth:`to_dict`, ignoring what another version knows."""
        known = {one.name for one in fields(cls)}
        return cls(**{key: value for key, value in stored.items() if key in known})
