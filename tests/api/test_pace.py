# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api.pace import LONGEST_SPACING, RECOVERY, Pace


def sent(pace, until, *, now=0.0, answer=lambda now: None):
    """Send as fast as the pace lets, a request at a time; the instants."""
    times = []
    while now < until:
        if delay := pace.take(now):
            now += delay
            continue
        times.append(now)
        answer(now)
        now += 1e-4
    return times


def test_without_a_limit_nobody_waits():
    pace = Pace(None)
    assert [pace.take(now) for now in (0, 0, 5, 1e9)] == [0, 0, 0, 0]


def test_a_burst_is_spread_evenly():
    pace = Pace(2)
    assert [pace.take(10.0), pace.take(10.0), pace.take(10.4), pace.take(10.5)] == [
        0,
        0.5,
        pytest.approx(0.1),
        0,
    ]


def test_a_pause_earns_no_burst():
    pace = Pace(2)
    assert [pace.take(now) for now in (0.0, 100.0, 100.0)] == [0, 0, 0.5]


@given(
    st.none() | st.floats(0.01, 10_000),
    st.lists(st.tuples(st.floats(0, 10), st.sampled_from(["good", "refused", "asked to wait"])), min_size=2),
)
def test_nobody_sends_sooner_than_the_limit_and_the_service_allow(per_second, steps):
    pace, now, last, held_until = Pace(per_second), 0.0, -1e9, -1e9
    for gap, answer in steps:
        now += gap
        if (delay := pace.take(now)) > 0:
            now += delay
            assert pace.take(now) < 1e-6
        assert now - last >= (1 / per_second if per_second else 0) - 1e-6
        assert now >= held_until - 1e-6
        last = now
        if answer == "good":
            pace.speed_up(now)
        else:
            hold = 7.0 if answer == "asked to wait" else 0.0
            held_until = now + hold
            pace.slow_down(now, sent_at=last, hold=hold)


def test_a_refusal_for_load_halves_the_speed_at_which_it_came():
    pace = Pace(None)
    before = [now / 50 for now in range(100)]
    assert not any(pace.take(now) for now in before)
    pace.slow_down(2.0, sent_at=1.98)
    after = sent(pace, 4.0, now=2.0)
    assert len(after) == pytest.approx(2 * 50 / 2, abs=2)


def test_what_was_long_ago_says_nothing_about_the_present_speed():
    pace = Pace(None)
    for n in range(20):
        pace.take(60.0 * n)
    burst = [1200 + n / 100 for n in range(10)]
    assert not any(pace.take(now) for now in burst)
    pace.slow_down(1200.1, sent_at=1200.09)
    assert len(sent(pace, 1202.1, now=1200.1)) == pytest.approx(2 * 100 / 2, abs=5)


def test_refusals_of_what_was_under_way_together_count_once():
    once, often = Pace(None), Pace(None)
    for pace in (once, often):
        for n in range(20):
            pace.take(n / 20)
    once.slow_down(1.1, sent_at=0.9)
    for n in range(10):
        often.slow_down(1.1 + n / 100, sent_at=0.9 + n / 100)
    assert len(sent(often, 10, now=2)) == len(sent(once, 10, now=2))


def test_good_answers_bring_the_speed_back_slowly_until_there_is_no_limit():
    pace = Pace(None)
    for n in range(100):
        pace.take(n / 100)
    pace.slow_down(1.0, sent_at=0.99)
    times = sent(pace, 20 * RECOVERY, now=1.0, answer=pace.speed_up)
    in_each_minute = [
        sum(n * RECOVERY <= when - 1 < (n + 1) * RECOVERY for when in times) / RECOVERY for n in range(4)
    ]
    for slower, faster in pairwise(in_each_minute):
        assert faster == pytest.approx(2 * slower, rel=0.15)
    assert pace.take(times[-1] + 1) == pace.take(times[-1] + 1) == 0


def test_an_idle_hour_proves_nothing():
    pace = Pace(None)
    for n in range(20):
        pace.take(n / 10)
    pace.slow_down(2.0, sent_at=1.9)
    pace.take(3.0)
    pace.speed_up(3600.0)
    assert len(sent(pace, 3610, now=3600)) == pytest.approx(10 * 5, rel=0.15)


def test_recovery_ends_at_the_speed_of_the_connection():
    pace = Pace(10)
    for n in range(20):
        pace.take(n / 10)
    pace.slow_down(2.0, sent_at=1.9)
    times = sent(pace, 20 * RECOVERY, now=2.0, answer=pace.speed_up)
    last_minute = [when for when in times if when >= 19 * RECOVERY]
    assert len(last_minute) == pytest.approx(10 * RECOVERY, abs=2)


def test_however_often_it_is_refused_it_goes_on_asking():
    pace = Pace(None)
    now = 0.0
    for _ in range(50):
        now += pace.take(now) or 1e-3
        pace.slow_down(now, sent_at=now)
    assert 0 < pace.take(now) <= LONGEST_SPACING
