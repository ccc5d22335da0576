# SPDX-License-Identifier: Apache-2.0
"""What the retry policy for Airflow 3.3 makes of each error of this provider."""

from __future__ import annotations

from datetime import timedelta

import pytest

pytest.importorskip("airflow.sdk", reason="Airflow 2 has no retry policies")
policies = pytest.importorskip(
    "airflow_provider_dreambooth.retry_policy", reason="before 3.3 neither", exc_type=ImportError
)

from airflow.providers.common.compat.sdk import AirflowFailException  # noqa: E402
from airflow.sdk import RetryAction  # noqa: E402

from airflow_provider_dreambooth import exceptions  # noqa: E402

CLASSES = [
    each
    for each in vars(exceptions).values()
    if isinstance(each, type) and issubclass(each, exceptions.DreamboothError)
]


def decide(error: BaseException, **options):
    return policies.DreamboothRetryPolicy(**options).evaluate(error, try_number=1, max_tries=3)


def later(cls, seconds):
    error = cls("busy")
    error.retry_after = seconds
    return error


@pytest.mark.parametrize(
    ("cls", "reason"),
    [(exceptions.DreamboothRateLimited, "rate limit"), (exceptions.DreamboothUnavailable, "not well")],
)
def test_when_the_service_says_when(cls, reason):
    decision = decide(later(cls, 7.5))
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == timedelta(seconds=7.5)
    assert reason in decision.reason
    assert "busy" in decision.reason


@pytest.mark.parametrize("seconds", [1e9, 1e17, 1e300])
def test_a_service_that_says_never_does_not_make_a_task_hang(seconds):
    assert decide(later(exceptions.DreamboothRateLimited, seconds)).retry_delay == timedelta(days=1)


@pytest.mark.parametrize("seconds", [None, 0, 0.0])
def test_when_it_does_not_the_task_says_when(seconds):
    assert decide(later(exceptions.DreamboothRateLimited, seconds)).action is RetryAction.DEFAULT


def test_a_long_reason_fits_into_airflows_column():
    error = exceptions.DreamboothRateLimited("x" * 10_000)
    error.retry_after = 1.0
    assert len(decide(error).reason) <= 500


def test_a_failed_generation_is_retried_unless_that_is_not_wanted():
    error = exceptions.DreamboothGenerationFailed("Failed, Try Again")
    assert decide(error).action is RetryAction.DEFAULT
    refused = decide(error, retry_failed_generations=False)
    assert refused.action is RetryAction.FAIL
    assert "billed anew" in refused.reason


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), KeyError("x")], ids=repr)
def test_what_is_not_of_this_provider_is_left_to_the_task(error):
    assert decide(error).action is RetryAction.DEFAULT
    assert decide(error, retry_failed_generations=False).action is RetryAction.DEFAULT


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_no_error_that_is_final_is_asked_to_be_retried(cls):
    """Airflow does not ask a policy about these; if it did, the answer must not be a retry."""
    if issubclass(cls, AirflowFailException):
        assert decide(later(cls, 5.0)).action is not RetryAction.RETRY
