# SPDX-License-Identifier: Apache-2.0
"""How a wait begins."""

from __future__ import annotations

import pytest

from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.request_ids import parse_request_ids
from airflow_provider_dreambooth.waiting import begin
from tests.modes.task_runner import TaskInstance

NOW = 1_795_593_600.0


def first_look(eta: float, *, ago: float | None, try_number: int = 1) -> float:
    submitted = {"request_id": "1", "eta": eta}
    if ago is not None:
        submitted["submitted_at"] = NOW - ago
    batch = begin(
        {"ti": TaskInstance(try_number)},
        parse_request_ids(submitted),
        timeout=600,
        policy=PollPolicy(),
        began=NOW,
    )
    return batch.next_due - NOW


@pytest.mark.parametrize("try_number", [1, 2])
def test_an_eta_counts_from_the_submit(try_number):
    in_full = first_look(60, ago=0, try_number=try_number)
    assert in_full > 30
    assert 15 < first_look(60, ago=30, try_number=try_number) < in_full - 10
    assert first_look(60, ago=61, try_number=try_number) == 0


def test_without_the_moment_of_the_submit_an_eta_counts_from_the_first_try():
    assert first_look(60, ago=None) == first_look(60, ago=0)
    assert first_look(60, ago=None, try_number=2) == 0


def test_a_submit_in_the_future_is_one_of_a_clock_that_is_ahead():
    assert first_look(60, ago=-1000) == first_look(60, ago=0)
