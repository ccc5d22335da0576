# SPDX-License-Identifier: Apache-2.0
"""For any history of faults, retries and clears: what is paid has a reason that the user gave or was told."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dreambooth.exceptions import DreamboothGenerationFailed
from airflow_provider_dreambooth.sandbox import Sandbox
from tests.modes.generating import MODES, generate
from tests.modes.task_runner import StateStore, run_task

SUBMIT_FAULTS = (
    "billed_then_drop", "billed_then_500", "billed_then_garbage", "drop", "http_500", "queue_full_2025:30",
    "http_429:7", "monthly_limit", "job_failed", "success",
)  # fmt: skip
FETCH_FAULTS = ("processing", "http_503", "drop", "not_found", "http_401", "job_failed", "success_empty_list")


@dataclass(frozen=True)
class Try:
    """One try, what goes wrong in it, and whether somebody cleared the task before it."""

    cleared: bool
    force_new: bool
    deferrable: bool
    wait: bool
    patient: bool
    prompt: str
    submit_faults: tuple[str, ...]
    fetch_faults: tuple[str, ...]


TRIES = st.lists(
    st.builds(
        Try,
        cleared=st.booleans(),
        force_new=st.booleans(),
        deferrable=st.booleans(),
        wait=st.booleans(),
        patient=st.booleans(),
        prompt=st.sampled_from(["a fox", "a fox", "a fox", "an owl"]),
        submit_faults=st.lists(st.sampled_from(SUBMIT_FAULTS), max_size=2).map(tuple),
        fetch_faults=st.lists(st.sampled_from(FETCH_FAULTS), max_size=2).map(tuple),
    ),
    min_size=2,
    max_size=6,
)


def make(each: Try):
    return generate(
        MODES["deferrable" if each.deferrable else "worker"],
        prompt=each.prompt,
        force_new=each.force_new,
        wait_for_completion=each.wait,
        timeout=30 if each.patient else 0,
        queue_timeout=0,
    )


def told_failures(sandbox: Sandbox) -> int:
    """Count how often the service said of a request that it failed, and asked for a new one."""
    fetched = [record for record in sandbox.journal if "fetch" in record.path]
    return sum(record.answered_as == "job_failed" for record in fetched)


@settings(max_examples=100, deadline=None)
@given(tries=TRIES)
def test_each_bill_has_its_reason(tries):
    with Sandbox(key="sandbox-key", run_time=0) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", sandbox.connection_json)
        store, max_tries, wanted, before, cleared = StateStore(), 0, 0, None, False
        for number, each in enumerate(tries, 1):
            sandbox.script("submit", each.submit_faults)
            sandbox.script("fetch", each.fetch_faults)
            if each.cleared and number > 1:
                max_tries, cleared = number - 1, True
            wanted += (cleared and each.force_new) or each.prompt != before  # the user's own word
            before, billed = each.prompt, sandbox.accepted()
            run_task(make(each), state_store=store, try_number=number, max_tries=max_tries)
            assert sandbox.accepted() <= wanted + told_failures(sandbox)
            cleared = cleared and sandbox.accepted() == billed  # force_new makes one new request a clear


@settings(max_examples=100, deadline=None)
@given(each=TRIES.map(lambda tries: tries[0]))
def test_before_airflow_3_3_nothing_that_was_paid_is_retried_by_itself(each):
    """Airflow retries what is neither of these two; a retry would not know of the request."""
    with Sandbox(key="sandbox-key", run_time=0) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", sandbox.connection_json)
        sandbox.script("submit", each.submit_faults)
        sandbox.script("fetch", each.fetch_faults)
        ended = run_task(make(each), state_store=False)
        if ended.error is not None and sandbox.accepted():
            asked_for_a_new_one = isinstance(ended.error, DreamboothGenerationFailed)
            assert asked_for_a_new_one or isinstance(ended.error, AirflowFailException | AirflowSensorTimeout)
