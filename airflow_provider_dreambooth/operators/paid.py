# SPDX-License-Identifier: Apache-2.0
"""What is paid is not paid again unasked, whatever goes wrong with it: which errors Airflow may retry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    Context,
)

from airflow_provider_dreambooth.exceptions import (
    DreamboothError,
    DreamboothGenerationFailed,
    DreamboothJobFailed,
    DreamboothPermanentError,
    DreamboothTransientError,
)
from airflow_provider_dreambooth.operators.remembered import Remembered


@contextmanager
def paid(context: Context, request_id: str | None) -> Iterator[None]:
    """
    See to it that no retry pays for another request because something goes wrong with this one.

    Where the task remembers it, a retry goes on with it; where there is no memory, there must be no retry.
    Only what the service itself says has failed is forgotten, so that a retry submits anew.

    :param request_id: None if even that cannot be told.
    """
    memory = Remembered(context)
    try:
        yield
    except DreamboothJobFailed as error:
        if all(one.kind == "job_failed" for one in error.failures):
            memory.forget(request_id)  # the service asks for a new submit
            raise _told(DreamboothGenerationFailed, error, "A retry of this task submits anew.") from error
        if usable := any(one.output for one in error.failures):
            error.args = (f"{error} The links that can be used are in XCom 'failed'.",)
        if not memory.possible:
            raise _told(type(error), error, f"But {_forgotten(request_id)}") from error
        # Links that cannot be used stay so, but where there are none they may come.
        cls = type(error) if usable else DreamboothTransientError
        again = "A clear" if usable else "A retry or a clear"
        raise _told(cls, error, _billed(request_id, again)) from error
    except (AirflowFailException, AirflowSensorTimeout, AirflowSkipException) as error:
        if memory.possible or not isinstance(error, DreamboothError):
            raise
        raise _told(type(error), error, f"But {_forgotten(request_id)}") from error
    except (Exception, AirflowTaskTimeout) as error:
        if memory.possible:  # a retry goes on with the same request
            raise
        said = f"It is not retried: {_forgotten(request_id)}"
        raise _told(DreamboothPermanentError, error, said) from error


def _told(cls: type[DreamboothError], error: BaseException, more: str) -> DreamboothError:
    told = cls(f"{error} {more}")
    if isinstance(error, DreamboothError):
        told.failures = error.failures
    return told


def _billed(request_id: str | None, again: str) -> str:
    return (
        f"It was billed. {again} of this task looks at the same request again, which bills "
        f"nothing, as DreamboothFetchSensor(request_id={request_id!r}) does; to generate anew, clear it "
        f"with force_new=True."
    )


def _forgotten(request_id: str | None) -> str:
    if request_id is None:
        which, fetched = "what it has paid for", "its id is in this task's log, and in XCom 'request_id'"
    else:
        which, fetched = f"request {request_id}", f"DreamboothFetchSensor(request_id={request_id!r})"
    return (
        f"before Airflow 3.3 neither a retry nor a cleared task knows of {which}: it would submit, and pay "
        f"for, another. To fetch it: {fetched}."
    )
