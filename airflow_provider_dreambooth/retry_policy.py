# SPDX-License-Identifier: Apache-2.0
"""A retry policy for Airflow 3.3 and newer, as a task's ``retry_policy`` or in ``default_args``.

:raises ImportError: when it is imported into an older Airflow, which has no retry policies.
"""

from __future__ import annotations

from datetime import timedelta

try:
    from airflow.sdk import Context, RetryDecision, RetryPolicy
except ImportError as error:
    raise ImportError("Retry policies need Airflow 3.3 or newer; use 'retries' and 'retry_delay'") from error

from airflow_provider_dreambooth.exceptions import (
    DreamboothGenerationFailed,
    DreamboothRateLimited,
    DreamboothTransientError,
)

_LONGEST = 86400.0
"""Seconds; a service that asks for more is mistaken, and a task would seem to hang."""
_MOST = 300
"""Characters of a reason that Airflow is to keep."""


class DreamboothRetryPolicy(RetryPolicy):
    """
    Retry when the service wants it, and as often as ``retries`` allows.

    Where it said when to come back (a rate limit, a full queue, ``Retry-After``) the retry comes then, else
    after the task's own ``retry_delay``. What the service has refused for good is an
    ``AirflowFailException``, for which Airflow asks no policy and does not retry.

    :param retry_failed_generations: retry also a generation that the service could not do. It is billed
        anew.
    """

    def __init__(self, *, retry_failed_generations: bool = True) -> None:
        self.retry_failed_generations = retry_failed_generations

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide by what was raised."""
        if isinstance(exception, DreamboothGenerationFailed) and not self.retry_failed_generations:
            return RetryDecision.fail("the generation failed, and a new one is billed anew")
        if isinstance(exception, DreamboothTransientError) and exception.retry_after:
            kind = "rate limit" if isinstance(exception, DreamboothRateLimited) else "the service is not well"
            delay = timedelta(seconds=min(exception.retry_after, _LONGEST))
            return RetryDecision.retry(delay, f"{kind}: {exception}"[:_MOST])
        return RetryDecision.default()
