# SPDX-License-Identifier: Apache-2.0
"""
Everything this provider raises, by what the caller can do about it.

::

    DreamboothError
    ├── DreamboothInputError            what the DAG asks for cannot be; nothing was sent
    ├── DreamboothConnectionError       the Airflow connection cannot be used
    ├── DreamboothPermanentError        asking again changes nothing: Airflow does not retry the task
    │   ├── DreamboothKeyRefused
    │   ├── DreamboothQuotaExceeded
    │   ├── DreamboothRequestNotFound
    │   ├── DreamboothJobFailed
    │   ├── DreamboothRequestRefused
    │   └── DreamboothUnsafePicture
    ├── DreamboothSubmitUnknown         a submit may have been accepted and billed: never repeated unasked
    ├── DreamboothGenerationFailed      the service could not do it: a retry submits anew, and is billed anew
    ├── DreamboothTimeout               the deadline passed: as every sensor's, not retried
    ├── DreamboothTransientError        asking again makes sense: Airflow retries the task, if it may
    │   ├── DreamboothRateLimited
    │   └── DreamboothUnavailable
    └── DreamboothSaveError             some pictures are not in the bucket: a retry saves only those
        └── DreamboothPictureRefused    … and a retry would refuse them again: not retried

Permanent errors are also :class:`AirflowFailException`, timeouts also :class:`AirflowSensorTimeout`;
``soft_fail`` skips for these. The others are no ``AirflowException`` on purpose: a deferred sensor with
``soft_fail`` would take any of those for a reason to skip, which the same sensor in poke mode does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_dreambooth.api.replies import Failed, Ready, Refused, TimedOut, Unavailable, Verdict

MAX_SHOWN = 50
"""Ids of one reason, and reasons, that an error's text names; XCom ``failed`` has all of them."""


@dataclass(frozen=True)
class RequestFailure:
    """
    One request that gave no pictures: its id, the kind of failure, and the service's words.

    ``output`` holds the links that were usable where others of the same request were not.
    """

    request_id: str
    kind: str
    message: str
    output: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Make JSON primitives of it, for XCom."""
        stored = {"request_id": self.request_id, "kind": self.kind, "message": self.message}
        return {**stored, "output": list(self.output)} if self.output else stored


class DreamboothError(Exception):
    """Root of the tree. ``failures`` names each request concerned, where there is one."""

    failures: tuple[RequestFailure, ...] = ()
    ready: tuple[Mapping[str, Any], ...] = ()
    """The results of the requests that are ready, where others failed."""
    retry_after: float | None = None
    """Seconds that the service asked to wait, if it did."""


class DreamboothInputError(DreamboothError, AirflowFailException, ValueError):
    """A parameter is wrong. Nothing was sent; a retry would be wrong again."""


class DreamboothConnectionError(DreamboothError, AirflowFailException, ValueError):
    """The Airflow connection is not there, lacks something, or holds a bad value, and so at a retry."""


class DreamboothPermanentError(DreamboothError, AirflowFailException):
    """The service's final word on at least one request, and no other of them can still come."""


class DreamboothKeyRefused(DreamboothPermanentError):
    """The API key is wrong, expired or disabled. Nothing is billed for a refused call."""


class DreamboothQuotaExceeded(DreamboothPermanentError):
    """Credits or the plan's limit are used up. Pictures already generated stay fetchable later."""


class DreamboothRequestNotFound(DreamboothPermanentError):
    """The service does not know the request id, also after the grace for one just submitted."""


class DreamboothJobFailed(DreamboothPermanentError):
    """The generation failed, or its links, or some of them, cannot be used. A new one is billed anew."""


class DreamboothRequestRefused(DreamboothPermanentError):
    """The service will not answer this request: a redirect elsewhere, a model or parameter it refuses."""


class DreamboothUnsafePicture(DreamboothPermanentError):
    """The service flagged a picture as unsafe, and ``fail_on_nsfw`` is set. XCom ``ready`` has the links."""


class DreamboothSubmitUnknown(DreamboothError, AirflowFailException):
    """
    A submit was sent, and nobody knows what became of it. It may have been billed.

    Airflow does not retry: that would pay a second time for what may be there already.
    """


class DreamboothGenerationFailed(DreamboothError):
    """The service took the request and could not do it. It asks for a new submit, as a retry gives it."""


class DreamboothTimeout(DreamboothError, AirflowSensorTimeout):
    """The pictures were not ready at the deadline. They may still come: run the task again to fetch them."""


class DreamboothTransientError(DreamboothError):
    """The service or the way to it is not well. Fetching is safe to repeat and bills nothing."""


class DreamboothRateLimited(DreamboothTransientError):
    """The account asks too often or has too many requests queued."""


class DreamboothUnavailable(DreamboothTransientError):
    """Too many unusable answers in a row: server errors, no connection, or not the service's replies."""


class DreamboothSaveError(DreamboothError):
    """Some pictures could not be saved; those that were are named in XCom key ``manifest``."""


class DreamboothPictureRefused(DreamboothSaveError, AirflowFailException):
    """What the links gave must not or cannot be saved, and would be refused again."""


_BY_KIND: dict[str, tuple[type[DreamboothError], str]] = {
    "key_refused": (
        DreamboothKeyRefused,
        "Put a valid API key into the connection's password and clear the task; a refused call is not billed",
    ),
    "quota": (
        DreamboothQuotaExceeded,
        "Add credits or wait for the plan's next period, then clear the task: the same ids can be fetched",
    ),
    "not_found": (
        DreamboothRequestNotFound,
        "Check that the id comes from this account and from the same service; fetching bills nothing",
    ),
    "job_failed": (
        DreamboothJobFailed,
        "Submit the generation again: it is billed as a new request; fetching this id again changes nothing",
    ),
    "no_output": (
        DreamboothJobFailed,
        "Look at the request in the service's dashboard; a new submission is billed anew",
    ),
    "forbidden": (DreamboothRequestRefused, "Check what the account and its plan may use"),
    "redirected": (DreamboothRequestRefused, "A redirected call is not billed"),
    "model_not_found": (DreamboothRequestRefused, "Check the model id"),
    "invalid_request": (
        DreamboothRequestRefused,
        "Check the connection's host and api_version: the service did not understand the request",
    ),
    "timed_out": (
        DreamboothTimeout,
        "The generation may still finish: clear the task to fetch it, or raise 'timeout'; that bills nothing",
    ),
    "rate_limited": (DreamboothRateLimited, "A retry of the task asks again and bills nothing"),
    "queue_full": (DreamboothRateLimited, "A retry of the task asks again and bills nothing"),
    "server_error": (DreamboothUnavailable, "A retry of the task asks again and bills nothing"),
    "unreadable": (
        DreamboothUnavailable,
        "If this stays, check the connection's host; a retry of the task asks again and bills nothing",
    ),
    "network": (DreamboothUnavailable, "A retry of the task asks again and bills nothing"),
}

_OF_A_LATER_RELEASE = (DreamboothTransientError, "Run the same release in workers and triggerers, then retry")


def failure(request_id: str, verdict: Verdict) -> RequestFailure | None:
    """Name what a request failed of; None if it is ready."""
    match verdict:
        case Ready():
            return None
        case TimedOut():
            return RequestFailure(request_id, "timed_out", verdict.message)
        case Failed():
            return RequestFailure(request_id, verdict.kind, verdict.message, verdict.output)
        case Refused() | Unavailable():
            return RequestFailure(request_id, verdict.kind, verdict.message)


def error_for(
    failures: Sequence[RequestFailure],
    *,
    conn_id: str,
    total: int,
    retry_after: float | None = None,
    ready: Sequence[Mapping[str, Any]] = (),
    kept: str = "in XCom 'ready'",
) -> DreamboothError:
    """
    Make the one exception for these failures.

    Where several differ, the one that leaves most hope decides, because a retry asks for all again:
    transient before timed out before permanent.

    :param kept: where the caller keeps the results of the others, ``ready``.
    """
    found = [(item, *_BY_KIND.get(item.kind, _OF_A_LATER_RELEASE)) for item in failures]
    classes = {cls for _, cls, _ in found}
    if len(classes) == 1:
        cls = classes.pop()
    elif any(issubclass(one, DreamboothTransientError) for one in classes):
        cls = DreamboothTransientError
    else:
        cls = DreamboothTimeout if DreamboothTimeout in classes else DreamboothPermanentError
    shown = _shown(failures)
    what = "" if total == 1 else f"{len(failures)} of {total} requests gave no pictures: "
    others = f" The {total - len(failures)} that are ready are {kept}." if ready else ""
    advice = " ".join(f"{text}." for text in dict.fromkeys(text for _, _, text in found))
    error = cls(f"{what}{shown} (connection {conn_id!r}). {advice}{others}")
    error.failures = tuple(failures)
    error.retry_after = retry_after
    error.ready = tuple(ready)
    return error


def _shown(failures: Sequence[RequestFailure]) -> str:
    """Name every failed id with its reason, ids of the same reason together."""
    alike: dict[tuple[str, str], list[str]] = {}
    for item in failures:
        alike.setdefault((item.kind, item.message), []).append(item.request_id)
    parts = []
    for (kind, message), ids in list(alike.items())[:MAX_SHOWN]:
        more = f" and {len(ids) - MAX_SHOWN} more" if len(ids) > MAX_SHOWN else ""
        noun = "request" if len(ids) == 1 else "requests"
        parts.append(f"{noun} {', '.join(ids[:MAX_SHOWN])}{more}: {kind.replace('_', ' ')}: {message}")
    if len(alike) > MAX_SHOWN:
        parts.append("and others")
    return "; ".join(parts)
