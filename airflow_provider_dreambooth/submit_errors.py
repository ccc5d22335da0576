# SPDX-License-Identifier: Apache-2.0
"""What a submit that came to nothing says: what happened, what it cost, what to do next."""

from __future__ import annotations

from airflow_provider_dreambooth.api.exchange import text_without_key
from airflow_provider_dreambooth.api.generation import Generation
from airflow_provider_dreambooth.api.replies import Failed, Pending, Ready, Unavailable
from airflow_provider_dreambooth.api.submitting import GivenUp
from airflow_provider_dreambooth.exceptions import (
    DreamboothError,
    DreamboothGenerationFailed,
    DreamboothKeyRefused,
    DreamboothQuotaExceeded,
    DreamboothRateLimited,
    DreamboothRequestRefused,
    DreamboothSubmitUnknown,
    DreamboothUnavailable,
)

_REFUSED: dict[str, tuple[type[DreamboothError], str]] = {
    "key_refused": (
        DreamboothKeyRefused,
        "Put a valid API key into the connection's password, then clear the task",
    ),
    "quota": (DreamboothQuotaExceeded, "Add credits or wait for the plan's next period, then clear the task"),
    "model_not_found": (
        DreamboothRequestRefused,
        "Check the model id; reload_model=True has a model loaded that was idle for a week",
    ),
    "forbidden": (DreamboothRequestRefused, "Check what the account and its plan may use"),
    "redirected": (DreamboothRequestRefused, "Check the connection's host"),
    "invalid_request": (
        DreamboothRequestRefused,
        "Correct the parameter that it names; if it names none, check the connection's host and api_version",
    ),
}
HOW_TO_FIND = (
    "Look for it in the service's dashboard{}. If it is there, fetch it: "
    "DreamboothFetchSensor(request_id=…) bills nothing. If not, clear the task with force_new=True. "
    "retry_unknown_submit=True always submits again, at the risk of paying twice"
)


def submit_error(given_up: GivenUp, generation: Generation, *, conn_id: str, api_key: str) -> DreamboothError:
    """
    Make the exception for a submit that is not repeated.

    :param generation: what was submitted.
    :param api_key: not shown, also if it was put into a parameter by mistake.
    """
    outcome = given_up.outcome
    if isinstance(outcome, Ready) or (isinstance(outcome, Failed) and outcome.output):
        # Nothing but these links leads to what was paid for.
        links = " ".join(outcome.output[:4])
        said = f"the service did it, but its reply names no request id. Its pictures: {links}"
    elif isinstance(outcome, Pending):
        said = f"the service accepted it, but its reply gives no request id: {outcome.message}".rstrip(": ")
    else:
        said = f"{outcome.kind.replace('_', ' ')}: {outcome.message.rstrip('.')}"
    model_id = text_without_key(generation.model_id, api_key)
    begin = f"The submit of {generation.kind.name} with model {model_id!r} on connection {conn_id!r}"
    track_id = text_without_key(str(generation.track_id or ""), api_key)
    billed = "Nothing was billed"
    if given_up.doubt:
        billed += f" for this attempt; an earlier one may have been{_to_find(track_id)}"
    match given_up.kind:
        case "refused":
            cls, advice = _REFUSED.get(
                getattr(outcome, "kind", ""), (DreamboothRequestRefused, "Ask the service")
            )
            return cls(f"{begin} was refused: {said}. {billed}. {advice}.")
        case "queue":
            error: DreamboothError = DreamboothRateLimited(
                f"{begin} was refused for load beyond queue_timeout: {said}. {billed}. A retry "
                f"of the task tries again; an Airflow pool of the plan's size keeps tasks from competing."
            )
            error.retry_after = outcome.retry_after if isinstance(outcome, Unavailable) else None
            return error
        case "unreached":
            return DreamboothUnavailable(
                f"{begin} did not reach the service: {said}. {billed}. A retry of the task submits."
            )
        case "failed":
            return DreamboothGenerationFailed(
                f"{begin} failed: {said}. Whether it was billed is for the service to say. A retry "
                f"of the task submits anew, which is billed anew."
            )
        case "unknown":
            return unknown(f"{begin} was sent, but what became of it is not known: {said}", track_id)


def unknown(what: str, track_id: str | None) -> DreamboothSubmitUnknown:
    """Make the exception for a submit that may have been accepted."""
    return DreamboothSubmitUnknown(
        f"{what}. It may have been billed, so it is not repeated. {HOW_TO_FIND.format(_to_find(track_id))}."
    )


def _to_find(track_id: str | None) -> str:
    return f" (track_id {track_id})" if track_id else ""
