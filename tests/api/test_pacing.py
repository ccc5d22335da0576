# SPDX-License-Identifier: Apache-2.0
"""When the next look comes: what holds for any eta, and what pacing by one is worth to model jobs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.pacing import CLOSEST, ERROR, FURTHEST, MAX_ETA, first_delay, interval
from airflow_provider_dreambooth.api.polling import JITTER, Poll, PollPolicy, Sleep
from airflow_provider_dreambooth.api.replies import Pending
from airflow_provider_dreambooth.api.request_ids import Requested
from benchmarks.jobs import Job, Model, fixed, ours, overshoot_of_fixed, requests_of_fixed

TICK = 1e-6
pokes = st.floats(0.5, 3600)
etas = st.floats(0.01, 1e6)
steady = st.builds(PollPolicy, poke_interval=pokes)
doubling = st.builds(
    PollPolicy, poke_interval=pokes, exponential_backoff=st.just(True), max_wait=st.none() | pokes
)


def looks(policy: PollPolicy, eta: float | None, until: float) -> list[float]:
    """When a request that is never ready is looked at."""
    poll, now = Poll("1", eta=eta), first_delay(eta, policy)
    found = []
    while now < until:
        found.append(now)
        decision = poll.decide(Pending(), now, policy=policy, began=0.0, deadline=1e12)
        assert isinstance(decision, Sleep)
        now += decision.seconds
    return found


@pytest.mark.parametrize(
    ("eta", "expected"),
    [
        (None, [0, 5, 10, 15]),
        (0.0, [0, 5, 10, 15]),
        (0.25, [0.5, 5.5, 10.5, 15.5]),  # nothing is ready later than twice the eta
        (4, [5, 8, 13, 18]),
        (20, [13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 45]),
        (80, [45, 50, 55]),
        (300, [60, 120, 155, 160]),
        (1e9, [60, 120, 180, 240, 300, 360, 420, 480, 485, 490]),
    ],
)
def test_where_looks_are_put_but_for_the_jitter(eta, expected):
    policy = PollPolicy()
    now, found = first_delay(eta, policy), []
    for _ in expected:
        found.append(now)
        now += interval(eta, policy, waited=now, looks=len(found))
    assert found == pytest.approx(expected)


@given(steady, etas, st.floats(0, 1e6), st.integers(0, 10**6))
def test_an_eta_never_makes_looks_rarer_once_the_request_may_be_ready(policy, eta, waited, count):
    poke, believed = policy.poke_interval, min(eta, MAX_ETA)
    seconds = interval(eta, policy, waited=waited, looks=count)
    assert 0 < seconds <= FURTHEST * poke
    if waited >= believed / ERROR:
        assert seconds <= poke + TICK
    if waited >= believed * ERROR:
        assert seconds == poke
    assert seconds >= min(CLOSEST * poke, believed) - TICK  # and never much closer


@given(steady | doubling, etas)
def test_the_first_look_is_where_the_request_can_be_ready(policy, eta):
    believed = min(eta, MAX_ETA)
    first = first_delay(eta, policy)
    assert first <= believed * ERROR + TICK
    assert first >= believed / ERROR or first == FURTHEST * policy.poke_interval


@given(steady | doubling, st.none() | etas, st.floats(0, 1e4))
def test_the_first_look_is_never_after_the_deadline(policy, eta, timeout):
    batch = Batch([Requested("1", eta)], began=1e9, deadline=1e9 + timeout, policy=policy)
    assert 1e9 <= batch.next_due <= 1e9 + timeout


@given(steady, st.integers(0, 10**6))
def test_without_an_eta_it_is_the_poke_interval(policy, number):
    poke = policy.poke_interval
    poll = Poll(str(number))
    decision = poll.decide(Pending(), 7.0, policy=policy, began=0.0, deadline=1e12)
    assert decision == Sleep(pytest.approx(poke, rel=JITTER + TICK))
    assert first_delay(None, policy) == 0
    assert interval(None, policy, waited=7.0, looks=1) == poke


@given(doubling, st.none() | etas, st.floats(0, 1e6), st.integers(1, 10**6))
def test_exponential_backoff_means_what_it_means_in_airflow(policy, eta, waited, count):
    seconds = interval(eta, policy, waited=waited, looks=count)
    assert seconds == interval(None, policy, waited=0.0, looks=count)
    assert seconds >= min(policy.poke_interval, policy.max_wait or policy.poke_interval)
    if policy.max_wait is not None:
        assert seconds <= policy.max_wait
    elif count < 30:
        assert seconds == policy.poke_interval * 2 ** (count - 1)


@given(steady, etas, st.floats(0, 5000), st.integers(0, 1000))
def test_how_late_readiness_is_noticed_at_most(policy, eta, ready, number):
    assume(ready / policy.poke_interval < 2000)
    overshoot = ours([Job(str(number), ready, eta)], policy).overshoot
    longest = (1 + JITTER) * policy.poke_interval
    assert overshoot <= FURTHEST * longest + TICK  # whatever the eta
    first = first_delay(eta, policy)
    if ready >= min(eta, MAX_ETA) / ERROR and first < FURTHEST * policy.poke_interval:
        assert overshoot <= longest + TICK


@given(etas, st.sampled_from([1.0, 5.0, 60.0]))
def test_looks_stay_apart(eta, poke):
    found = looks(PollPolicy(poke), eta, 2000)
    assert all(later - one >= (1 - JITTER) * CLOSEST * poke - TICK for one, later in pairwise(found))


# What it is worth: deterministic computations of the same few thousand jobs each time.
COUNT = 5000
MODELS = {
    "the model": Model(),
    "its error even in the logarithm": Model(even=False),
    "of the run alone": Model(foresees_queue=False),
    "of the run alone, even in the logarithm": Model(foresees_queue=False, even=False),
    "no queue": Model(queue=0.0),
    "a long queue": Model(queue=20.0),
}


@pytest.mark.parametrize("poke", [2.0, 5.0])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_an_eta_nearly_halves_the_overshoot_or_the_requests_and_more(model, poke):
    jobs = model.jobs(COUNT, seed=1)
    found = ours(jobs, PollPolicy(poke))
    assert found.overshoot <= 0.55 * overshoot_of_fixed(jobs, found.requests)
    assert found.requests <= 0.55 * requests_of_fixed(jobs, found.overshoot)
    same = fixed(jobs, poke)
    assert found.requests <= 0.7 * same.requests
    assert found.overshoot <= 0.9 * same.overshoot


def test_without_an_eta_it_is_never_worse_than_a_fixed_interval():
    jobs = Model().jobs(COUNT, seed=1)
    for poke in (2.0, 5.0, 20.0):
        found, same = ours(jobs, PollPolicy(poke), told=False), fixed(jobs, poke, at_once=True)
        assert found.requests == pytest.approx(same.requests, rel=0.005)
        assert found.overshoot == pytest.approx(same.overshoot, rel=0.02)  # jitter costs a 300th


def test_exponential_backoff_makes_fewer_requests_with_an_eta_too():
    jobs = Model().jobs(COUNT, seed=1)
    known, unknown = (ours(jobs, PollPolicy(exponential_backoff=True), told=told) for told in (True, False))
    assert known.requests < unknown.requests < ours(jobs, PollPolicy()).requests
    assert known.overshoot < unknown.overshoot


def test_a_wild_eta_costs_no_more_requests_than_a_fixed_interval():
    for error in (3.0, 10.0, 100.0):
        jobs = Model(error=error, even=False).jobs(COUNT, seed=1)
        assert ours(jobs, PollPolicy()).requests <= 0.7 * fixed(jobs, 5.0).requests
