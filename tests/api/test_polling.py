# SPDX-License-Identifier: Apache-2.0
"""One request's schedule, decision by decision."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api.polling import (
    JITTER,
    MAX_FAILURE_DELAY,
    MAX_SERVER_DELAY,
    MIN_SLEEP,
    Finish,
    Poll,
    PollPolicy,
    Sleep,
)
from airflow_provider_dreambooth.api.replies import (
    Failed,
    Outcome,
    Pending,
    Ready,
    Refused,
    TimedOut,
    Unavailable,
)

BEGAN, NEVER = 1_700_000_000.0, 1e12
READY = Ready(("https://a/0.png",))
NOT_FOUND = Failed("not_found", "Request not found")
DOWN = Unavailable("server_error", "HTTP 500", 500)
BUSY = Unavailable("rate_limited", "Rate limit exceeded", 200)


def decide(
    outcome: Outcome,
    poll: Poll | None = None,
    *,
    after: float = 0.0,
    deadline: float = NEVER,
    **policy: object,
) -> Sleep | Finish:
    poll = poll or Poll("1")
    return poll.decide(outcome, BEGAN + after, policy=PollPolicy(**policy), began=BEGAN, deadline=deadline)


def delays(outcomes: list[Outcome], request_id: str = "1", **policy: object) -> list[float]:
    poll = Poll(request_id)
    decisions = [decide(outcome, poll, **policy) for outcome in outcomes]
    return [decision.seconds for decision in decisions if isinstance(decision, Sleep)]


def about(seconds: float) -> object:
    return pytest.approx(seconds, rel=JITTER + 1e-6)


@pytest.mark.parametrize("deadline", [NEVER, BEGAN, BEGAN - 3600])
@pytest.mark.parametrize(
    "outcome",
    [
        READY,
        Failed("job_failed", "Failed, Try Again"),
        Failed("no_output", "none"),
        Refused("key_refused", "Invalid Api Key"),
        Refused("quota", "limit exceeded"),
        Refused("model_not_found", "Model id not found"),
    ],
)
def test_what_is_final_wins_over_a_late_clock(outcome, deadline):
    assert decide(outcome, after=100, deadline=deadline) == Finish(outcome)


@pytest.mark.parametrize(
    ("outcome", "last_words"),
    [
        (Pending(), "still processing"),
        (Pending("try again later."), "still processing (try again later.)"),
        (NOT_FOUND, "the last answer was: Request not found"),
        (DOWN, "the last answer was: HTTP 500"),
        (BUSY, "the last answer was: Rate limit exceeded"),
    ],
)
def test_the_rest_has_timed_out_at_the_deadline_and_says_what_came_last(outcome, last_words):
    assert decide(outcome, after=10, deadline=BEGAN + 10) == Finish(TimedOut(last_words))
    assert isinstance(decide(outcome, after=9.9, deadline=BEGAN + 10), Sleep)


def test_the_last_sleep_ends_at_the_deadline():
    assert decide(Pending(), after=98, deadline=BEGAN + 100) == Sleep(2.0)


@pytest.mark.parametrize("grace", [0, 30, 90])
def test_an_unknown_id_has_its_grace(grace):
    if grace:
        assert isinstance(decide(NOT_FOUND, after=grace - 0.1, not_found_grace=grace), Sleep)
    assert decide(NOT_FOUND, after=grace, not_found_grace=grace) == Finish(NOT_FOUND)


@pytest.mark.parametrize("poke_interval", [1, 5, 300])
def test_steady_pace(poke_interval):
    assert delays([Pending()] * 20, poke_interval=poke_interval) == [about(poke_interval)] * 20


@pytest.mark.parametrize(
    ("max_wait", "expected"), [(None, [5, 10, 20, 40, 80, 160]), (30, [5, 10, 20, 30, 30, 30]), (2, [2] * 6)]
)
def test_exponential_backoff_grows_up_to_max_wait(max_wait, expected):
    grown = delays([Pending()] * 6, exponential_backoff=True, max_wait=max_wait)
    assert grown == [about(seconds) for seconds in expected]


def test_growth_never_overflows():
    poll = Poll("1", looks=10**9, failures=10**9)
    assert decide(DOWN, poll, max_consecutive_failures=None) == Sleep(about(MAX_FAILURE_DELAY))
    assert isinstance(decide(Pending(), poll, exponential_backoff=True), Sleep)


def test_failures_double_the_wait_up_to_a_minute():
    expected = [5, 5, 10, 20, 40, 60, 60][1:]
    assert delays([DOWN] * 6, max_consecutive_failures=None) == [about(seconds) for seconds in expected]
    assert delays([DOWN] * 3, poke_interval=300) == [about(300)] * 3


@pytest.mark.parametrize("budget", [1, 2, 10])
def test_consecutive_failures_end_the_wait(budget):
    poll = Poll("1")
    for _ in range(budget - 1):
        assert isinstance(decide(DOWN, poll, max_consecutive_failures=budget), Sleep)
    assert decide(DOWN, poll, max_consecutive_failures=budget) == Finish(DOWN)


@pytest.mark.parametrize("good", [Pending(), NOT_FOUND])
def test_one_good_answer_restores_the_budget(good):
    slept = delays([DOWN, DOWN, good, DOWN, DOWN, good, DOWN, DOWN], max_consecutive_failures=3)
    assert len(slept) == 8
    assert (
        len(delays([DOWN, BUSY, DOWN, BUSY, DOWN], max_consecutive_failures=3)) == 4
    )  # being busy is no good answer


def test_no_budget_never_ends_it():
    assert len(delays([DOWN] * 500, max_consecutive_failures=None)) == 500


def test_a_busy_service_never_ends_it_either():
    growing = [about(5), about(10), about(20), about(40)]
    assert delays([BUSY] * 500, max_consecutive_failures=1) == [*growing, *[about(60)] * 496]


def test_a_busy_service_does_not_use_up_the_budget_for_failures():
    assert len(delays([BUSY] * 20 + [DOWN], max_consecutive_failures=2)) == 21


@pytest.mark.parametrize("kind", ["rate_limited", "queue_full", "server_error", "unreadable", "network"])
@pytest.mark.parametrize(
    ("told", "least", "most"),
    [(30.0, 30, 36), (1.0, 4.5, 5.5), (0.0, 4.5, 5.5), (299.0, 299, 300), (1e9, 300, 300)],
)
def test_the_services_delay_is_kept_and_clamped(kind, told, least, most):
    for request_id in map(str, range(50)):
        (slept,) = delays([Unavailable(kind, "x", retry_after=told)], request_id)
        assert least <= slept <= most <= MAX_SERVER_DELAY


def test_jitter_is_the_same_every_time_and_differs_between_requests():
    assert delays([Pending()] * 9, "7") == delays([Pending()] * 9, "7")
    assert len({tuple(delays([Pending()] * 3, str(number))) for number in range(100)}) == 100
    spread = [delays([Pending()], str(number))[0] / 5 - 1 for number in range(1000)]
    assert -JITTER - 1e-6 <= min(spread) < -JITTER * 0.9
    assert JITTER * 0.9 < max(spread) <= JITTER + 1e-6
    assert all(one != next_one for one, next_one in pairwise(delays([Pending()] * 9)))


policies = st.builds(
    PollPolicy,
    poke_interval=st.floats(-1, 1e6),
    exponential_backoff=st.booleans(),
    max_wait=st.none() | st.floats(0, 1e6),
    not_found_grace=st.floats(0, 100),
    max_consecutive_failures=st.none() | st.integers(0, 20),
)
answers = st.sampled_from([Pending(), NOT_FOUND]) | st.builds(
    Unavailable,
    st.sampled_from(["rate_limited", "network"]),
    st.just("x"),
    st.none(),
    st.none() | st.floats(0, 1e300),
)


@given(
    policies,
    answers,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.none() | st.floats(0, 1e300),
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
)
def test_no_reply_can_make_a_hot_loop(policy, outcome, looks, failures, eta, after, left):
    now = BEGAN + after
    decision = Poll("1", looks, failures, eta=eta).decide(
        outcome, now, policy=policy, began=BEGAN, deadline=now + left
    )
    if isinstance(decision, Sleep):
        assert decision.seconds >= MIN_SLEEP or now + decision.seconds >= now + left
        assert decision.seconds > 0
        assert now + decision.seconds <= now + left + 1e-6
    else:
        assert isinstance(decision.verdict, (TimedOut, Failed, Unavailable))


@given(policies)
def test_a_policy_is_stored_and_read_back(policy):
    assert PollPolicy.from_dict({**policy.to_dict(), "of_a_later_version": 1}) == policy


def test_a_policy_of_an_earlier_version_has_todays_defaults():
    assert PollPolicy.from_dict({"poke_interval": 7.0}) == PollPolicy(poke_interval=7.0)
