# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType
from typing import get_args, get_type_hints

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSensorTimeout

from airflow_provider_dreambooth import exceptions
from airflow_provider_dreambooth.api.replies import Failed, Ready, Refused, TimedOut, Unavailable, Verdict
from airflow_provider_dreambooth.exceptions import (
    DreamboothError,
    DreamboothGenerationFailed,
    DreamboothJobFailed,
    DreamboothKeyRefused,
    DreamboothPermanentError,
    DreamboothQuotaExceeded,
    DreamboothRateLimited,
    DreamboothRequestNotFound,
    DreamboothRequestRefused,
    DreamboothSaveError,
    DreamboothTimeout,
    DreamboothTransientError,
    DreamboothUnavailable,
    RequestFailure,
    error_for,
    failure,
)

KINDS = {
    "not_found": DreamboothRequestNotFound,
    "job_failed": DreamboothJobFailed,
    "no_output": DreamboothJobFailed,
    "key_refused": DreamboothKeyRefused,
    "quota": DreamboothQuotaExceeded,
    "forbidden": DreamboothRequestRefused,
    "redirected": DreamboothRequestRefused,
    "model_not_found": DreamboothRequestRefused,
    "invalid_request": DreamboothRequestRefused,
    "timed_out": DreamboothTimeout,
    "rate_limited": DreamboothRateLimited,
    "queue_full": DreamboothRateLimited,
    "server_error": DreamboothUnavailable,
    "unreadable": DreamboothUnavailable,
    "network": DreamboothUnavailable,
}
TREE = [
    cls for cls in vars(exceptions).values() if isinstance(cls, type) and issubclass(cls, DreamboothError)
]


def test_every_kind_of_every_verdict_has_its_class():
    spoken = {
        kind for cls in (Failed, Refused, Unavailable) for kind in get_args(get_type_hints(cls)["kind"])
    }
    assert spoken | {"timed_out"} == set(KINDS)


@pytest.mark.parametrize(("kind", "cls"), KINDS.items())
def test_one_failure(kind, cls):
    error = error_for([RequestFailure("7", kind, "The words")], conn_id="my_conn", total=1, retry_after=30.0)
    assert type(error) is cls
    text = str(error)
    assert text.startswith(f"request 7: {kind.replace('_', ' ')}: The words (connection 'my_conn'). ")
    assert text.isprintable()
    assert text.endswith(".")
    assert error.failures[0].request_id == "7"
    assert error.retry_after == 30.0


@pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)
def test_what_airflow_does_with_it(cls):
    no_retry = issubclass(cls, (AirflowFailException, AirflowSensorTimeout))
    hopeful = {
        DreamboothTransientError,
        DreamboothRateLimited,
        DreamboothUnavailable,
        DreamboothSaveError,
        DreamboothGenerationFailed,
    }
    assert no_retry == (cls not in hopeful | {DreamboothError})
    assert issubclass(cls, AirflowSensorTimeout) == (cls is DreamboothTimeout)
    if not no_retry:  # else a deferred sensor with soft_fail would skip where a poking one fails
        assert not issubclass(cls, AirflowException)


def test_the_docstring_draws_the_whole_tree():
    drawn = re.findall(r"(?:── |\n {4})(Dreambooth\w+)", exceptions.__doc__ or "")
    assert set(drawn) == {cls.__name__ for cls in TREE}
    assert len(drawn) == len(TREE)


@pytest.mark.parametrize(
    ("kinds", "cls"),
    [
        (["job_failed", "job_failed"], DreamboothJobFailed),
        (["job_failed", "no_output"], DreamboothJobFailed),
        (["job_failed", "not_found"], DreamboothPermanentError),
        (["job_failed", "timed_out"], DreamboothTimeout),
        (["job_failed", "network"], DreamboothTransientError),
        (["timed_out", "network"], DreamboothTransientError),
        (["rate_limited", "network"], DreamboothTransientError),
    ],
)
def test_of_several_the_most_hopeful_decides(kinds, cls):
    failures = [RequestFailure(str(number), kind, "x") for number, kind in enumerate(kinds)]
    for order in (failures, failures[::-1]):
        assert type(error_for(order, conn_id="c", total=5)) is cls


def test_each_failed_id_is_named_with_its_reason_and_the_ready_ones_pointed_to():
    failures = [
        RequestFailure("1", "job_failed", "Failed, Try Again"),
        RequestFailure("2", "not_found", "Request not found"),
        RequestFailure("3", "job_failed", "Failed, Try Again"),
    ]
    ready = [{"request_id": str(n)} for n in range(4, 11)]
    text = str(error_for(failures, conn_id="my_conn", total=10, ready=ready))
    assert text.startswith(
        "3 of 10 requests gave no pictures: requests 1, 3: job failed: Failed, Try Again; "
        "request 2: not found: Request not found (connection 'my_conn'). Submit the generation again"
    )
    assert text.count("Submit the generation again") == 1
    assert text.endswith(" The 7 that are ready are in XCom 'ready'.")


def test_thousands_of_failures_still_make_a_readable_text():
    failures = [RequestFailure(str(number), "job_failed", f"reason {number % 300}") for number in range(5000)]
    error = error_for(failures, conn_id="c", total=5000)
    assert len(str(error)) < 10_000
    assert "and others" in str(error)
    assert len(error.failures) == 5000
    alike = error_for([RequestFailure(str(n), "network", "x") for n in range(5000)], conn_id="c", total=5000)
    assert "and 4950 more" in str(alike)


@pytest.mark.parametrize(
    ("verdict", "found"),
    [
        (Ready(("https://a/0.png",)), None),
        (TimedOut("still processing"), RequestFailure("7", "timed_out", "still processing")),
        (Refused("quota", "limit exceeded", 402), RequestFailure("7", "quota", "limit exceeded")),
        (Unavailable("network", "no connection"), RequestFailure("7", "network", "no connection")),
        (Failed("not_found", "x"), RequestFailure("7", "not_found", "x")),
        (Failed("no_output", "x", ("https://a",)), RequestFailure("7", "no_output", "x", ("https://a",))),
    ],
)
def test_failure(verdict: Verdict, found):
    assert failure("7", verdict) == found


def test_usable_links_beside_unusable_ones_reach_xcom():
    found = RequestFailure("7", "no_output", "1 of 2 outputs are no http(s) links", ("https://a/0.png",))
    assert found.to_dict() == {
        "request_id": "7",
        "kind": "no_output",
        "message": "1 of 2 outputs are no http(s) links",
        "output": ["https://a/0.png"],
    }
    assert "output" not in RequestFailure("7", "not_found", "x").to_dict()


def test_the_retry_policy_tells_an_older_airflow_what_to_use(monkeypatch):
    name = "airflow_provider_dreambooth.retry_policy"
    monkeypatch.setitem(sys.modules, "airflow.sdk", ModuleType("airflow.sdk"))  # that of 3.2 has no policies
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match=r"need Airflow 3\.3 or newer; use 'retries'"):
        importlib.import_module(name)


@pytest.mark.parametrize("kind", ["key_refused", "redirected"])
def test_a_look_that_is_refused_does_not_say_that_the_submit_cost_nothing(kind):
    """The request that it asked for was billed, if a task of this provider submitted it."""
    told = str(error_for([RequestFailure("7", kind, "no")], conn_id="d", total=1)).lower()
    assert "nothing was billed" not in told
    assert "call is not billed" in told
