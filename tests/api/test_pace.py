# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api.pace import Pace


def test_without_a_limit_nobody_waits():
    pace = Pace(None)
    assert [pace.reserve(now) for now in (0, 0, 5, 1e9)] == [0, 0, 0, 0]


def test_a_burst_is_spread_evenly():
    pace = Pace(2)
    assert [pace.reserve(10.0) for _ in range(4)] == [0, 0.5, 1.0, 1.5]


def test_a_pause_earns_no_burst():
    pace = Pace(2)
    assert [pace.reserve(now) for now in (0.0, 100.0, 100.0)] == [0, 0, 0.5]


@given(st.floats(0.001, 10_000), st.lists(st.floats(0, 10), min_size=2))
def test_slots_are_never_closer_than_the_limit(per_second, gaps):
    pace = Pace(per_second)
    waits = [(now, pace.reserve(now)) for now in accumulate(gaps)]
    assert all(wait >= 0 for _, wait in waits)
    slots = [now + wait for now, wait in waits]
    for one, next_one in pairwise(slots):
        assert next_one - one >= 1 / per_second * (1 - 1e-9) - 1e-9
    assert slots[0] == gaps[0]
