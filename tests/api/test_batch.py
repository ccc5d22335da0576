# SPDX-License-Identifier: Apache-2.0
"""Waiting as a whole: a batch, driven as the clients drive it, against a played service and clock."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api.batch import VERSION, Batch
from airflow_provider_dreambooth.api.pacing import CLOSEST, first_delay
from airflow_provider_dreambooth.api.polling import MAX_SERVER_DELAY, MIN_SLEEP, PollPolicy
from airflow_provider_dreambooth.api.replies import (
    Failed,
    Outcome,
    Pending,
    Ready,
    Refused,
    TimedOut,
    Unavailable,
)
from airflow_provider_dreambooth.api.request_ids import Requested, parse_request_ids

BEGAN = 1_700_000_000.0
READY = Ready(("https://a/0.png",))
NOT_FOUND = Failed("not_found", "Request not found")
JOB_FAILED = Failed("job_failed", "Failed, Try Again")
DOWN = Unavailable("server_error", "HTTP 500", 500)
KEY_REFUSED = Refused("key_refused", "Invalid Api Key", 200)
# Airflow's clock counts in 1.7e9 seconds: sums of it are exact to about a quarter of a microsecond.
TICK = 1e-6


@dataclass(frozen=True)
class Look:
    request_id: str
    asked_at: float
    answered_at: float
    outcome: Outcome


@dataclass
class World:
    """The drivers' loop: take what is due, up to ``most`` at once; sleep to the next look or reply."""

    service: Callable[[str, int, float], Outcome]
    latency: float = 0.0
    most: int = 10
    between: Callable[[Batch], Batch] = field(default=lambda batch: batch)
    looks: list[Look] = field(default_factory=list)

    def wait(self, batch: Batch, now: float = BEGAN) -> Batch:
        under_way: list[tuple[float, float, str]] = []
        counts: dict[str, int] = {}
        while batch.waiting:
            due = batch.take_due(now, self.most - len(under_way))
            under_way += [(now + self.latency, now, request_id) for request_id in due]
            if under_way:
                answered_at, asked_at, request_id = under_way.pop(0)
                now = max(now, answered_at)
                number = counts[request_id] = counts.get(request_id, 0) + 1
                outcome = self.service(request_id, number, asked_at)
                self.looks.append(Look(request_id, asked_at, now, outcome))
                batch.record(request_id, outcome, now)
            else:
                batch = self.between(batch)
                assert batch.next_due > now
                now = batch.next_due
            assert len(self.looks) < 100_000
        return batch


def batch_of(*request_ids: str, timeout: float = 600.0, eta: float | None = None, **policy: object) -> Batch:
    requests = [Requested(request_id, eta) for request_id in request_ids]
    return Batch(requests, began=BEGAN, deadline=BEGAN + timeout, policy=PollPolicy(**policy))


def scripted(*outcomes: Outcome) -> Callable[[str, int, float], Outcome]:
    """The same answers to each request, the last one for ever."""
    return lambda request_id, number, now: outcomes[min(number, len(outcomes)) - 1]


def test_ready_at_the_first_look():
    world = World(scripted(READY))
    batch = world.wait(batch_of("1", "2", "3"))
    assert batch.verdicts == {"1": READY, "2": READY, "3": READY}
    assert [(look.request_id, look.asked_at) for look in world.looks] == [(name, BEGAN) for name in "123"]
    assert batch.progress == "3 of 3 ready"


@pytest.mark.parametrize(("eta", "first"), [(None, 0), (0.25, 0.5), (20, 13), (100, 55), (1e9, 60)])
def test_the_eta_comes_first(eta, first):
    world = World(scripted(READY))
    world.wait(batch_of("1", timeout=3600, eta=eta))
    assert [look.asked_at - BEGAN for look in world.looks] == [first]


def test_an_eta_behind_the_deadline_is_cut_to_it():
    world = World(scripted(Pending()))
    batch = world.wait(batch_of("1", timeout=60, eta=900))
    assert [look.asked_at - BEGAN for look in world.looks] == [60]
    assert isinstance(batch.verdicts["1"], TimedOut)


def test_a_submit_that_gave_the_pictures_is_not_asked_for():
    asked = parse_request_ids([{"id": 1, "status": "success", "output": READY.output}, 2])
    world = World(scripted(READY))
    batch = world.wait(Batch(asked.requests, began=BEGAN, deadline=BEGAN + 60))
    assert [look.request_id for look in world.looks] == ["2"]
    assert batch.verdicts == {"1": READY, "2": READY}
    assert batch.request_ids == {"1", "2"}


@pytest.mark.parametrize("late", [0, 1, 86_400])
def test_a_batch_taken_up_after_its_deadline_is_looked_at_once(late):
    for outcome, expected in [
        (READY, READY),
        (Pending(), TimedOut("still processing")),
        (DOWN, TimedOut("the last answer was: HTTP 500")),
    ]:
        world = World(scripted(outcome))
        batch = world.wait(batch_of("1", timeout=60), now=BEGAN + 60 + late)
        assert len(world.looks) == 1
        assert batch.verdicts["1"] == expected


def test_a_deadline_in_the_past_from_the_beginning():
    world = World(scripted(Pending()))
    batch = world.wait(batch_of("1", timeout=-5, eta=10))
    assert [look.asked_at for look in world.looks] == [BEGAN]
    assert isinstance(batch.verdicts["1"], TimedOut)


def test_one_that_fails_loses_none_of_the_others():
    answers = {"1": JOB_FAILED, "2": READY, "3": Refused("model_not_found", "Model id not found"), "4": READY}
    batch = World(lambda request_id, number, now: answers[request_id]).wait(batch_of(*"1234"))
    assert batch.verdicts == answers
    assert batch.progress == "2 of 4 ready, 2 failed"


@pytest.mark.parametrize("kind", ["key_refused", "quota", "redirected"])
def test_a_refusal_that_means_the_account_ends_all(kind):
    refused = Refused(kind, "No.")
    answers = {"100": READY, "101": refused}
    world = World(lambda request_id, number, now: answers.get(request_id, Pending()), most=2)
    batch = world.wait(batch_of(*map(str, range(100, 600))))
    assert len(world.looks) == 2
    assert batch.verdicts == {"100": READY} | {str(number): refused for number in range(101, 600)}
    assert batch.next_due == float("inf")


def test_pictures_that_arrive_after_such_a_refusal_are_kept():
    batch = batch_of("1", "2", "3", "4")
    assert batch.take_due(BEGAN, 10) == ["1", "2", "3", "4"]
    batch.record("1", KEY_REFUSED, BEGAN)
    batch.record("2", READY, BEGAN + 1)
    batch.record("3", Pending(), BEGAN + 1)
    batch.record("2", DOWN, BEGAN + 2)
    batch.record("of another batch", READY, BEGAN + 2)
    assert batch.verdicts == {"1": KEY_REFUSED, "2": READY, "3": KEY_REFUSED, "4": KEY_REFUSED}


def test_not_more_than_asked_for_at_once():
    batch = batch_of(*map(str, range(100)))
    assert len(batch.take_due(BEGAN, 7)) == 7
    assert batch.take_due(BEGAN, 0) == []
    assert batch.take_due(BEGAN - 1, 7) == []
    assert len(batch.take_due(BEGAN, 1000)) == 93
    assert batch.next_due == float("inf")
    assert batch.waiting == 100


@pytest.mark.parametrize(("told", "held"), [(30, 30), (None, 4.5), (1e6, MAX_SERVER_DELAY)])
@pytest.mark.parametrize("kind", ["rate_limited", "queue_full"])
def test_a_limit_holds_the_whole_batch(kind, told, held):
    busy = Unavailable(kind, "x", 200, told)
    world = World(lambda request_id, number, now: busy if (request_id, number) == ("1", 1) else READY, most=1)
    world.wait(batch_of(*"123456789"))
    assert world.looks[1].asked_at >= BEGAN + held
    assert world.looks[1].asked_at <= BEGAN + MAX_SERVER_DELAY


def test_a_failure_of_one_request_holds_nobody_else():
    slow = Unavailable("server_error", "x", 503, 120.0)
    world = World(lambda request_id, number, now: slow if (request_id, number) == ("1", 1) else READY, most=1)
    world.wait(batch_of(*"123"))
    assert [(look.request_id, look.asked_at >= BEGAN + 120) for look in world.looks] == [
        ("1", False), ("2", False), ("3", False), ("1", True),
    ]  # fmt: skip


def test_a_limit_behind_the_deadline_still_leaves_the_last_look():
    busy = Unavailable("rate_limited", "x", 200, 1000.0)
    world = World(lambda request_id, number, now: READY if now >= BEGAN + 60 else busy, most=1)
    batch = world.wait(batch_of("1", "2", timeout=60))
    assert batch.verdicts == {"1": READY, "2": READY}
    assert [look.asked_at - BEGAN for look in world.looks] == [0, 60, 60]


# Any service, any policy


policies = st.builds(
    PollPolicy,
    poke_interval=st.floats(0, 60),
    exponential_backoff=st.booleans(),
    max_wait=st.none() | st.floats(1, 60),
    not_found_grace=st.floats(0, 60),
    max_consecutive_failures=st.none() | st.integers(1, 5),
)
unavailable = st.builds(
    Unavailable,
    st.sampled_from(["rate_limited", "queue_full", "server_error", "unreadable", "network"]),
    st.just("x"),
    st.none(),
    st.none() | st.floats(0, 500),
)
unfinished = st.just(Pending()) | st.just(NOT_FOUND) | unavailable
answers = unfinished | unfinished | st.sampled_from([READY, JOB_FAILED, KEY_REFUSED])
services = st.dictionaries(st.sampled_from("123456"), st.lists(answers, min_size=1, max_size=6), min_size=1)


def play(script: dict[str, list[Outcome]]) -> Callable[[str, int, float], Outcome]:
    return lambda request_id, number, now: script[request_id][(number - 1) % len(script[request_id])]


@given(
    services, policies, st.floats(0, 120), st.none() | st.floats(0, 200), st.floats(0, 5), st.integers(1, 4)
)
# An eta that is shorter than what a clock tells apart.
@example({"1": [Pending()]}, PollPolicy(poke_interval=1.0), 1.0, sys.float_info.min, 0.0, 1)
def test_every_wait_ends_well_paced(script, policy, timeout, eta, latency, most):
    requests = [Requested(request_id, eta) for request_id in script]
    deadline = BEGAN + timeout
    world = World(play(script), latency, most)
    batch = world.wait(Batch(requests, began=BEGAN, deadline=deadline, policy=policy))

    assert batch.verdicts.keys() == script.keys()
    for request_id, verdict in batch.verdicts.items():
        looks = [look for look in world.looks if look.request_id == request_id]
        closest = policy.poke_interval * (CLOSEST if eta else 1)
        pace = max(MIN_SLEEP, 0.9 * min(closest, policy.max_wait or 60))
        assert len(looks) <= timeout / pace + 4
        for one, following in pairwise(looks):
            rested = following.asked_at - one.answered_at
            assert rested >= pace - TICK or following.asked_at >= deadline - TICK
            assert one.answered_at < deadline  # nobody is asked again after an answer at the deadline
        if looks:
            assert looks[0].asked_at >= min(BEGAN + first_delay(eta, policy), deadline) - TICK
        if isinstance(verdict, TimedOut):
            assert looks[-1].answered_at >= deadline
        elif not isinstance(verdict, Refused):
            assert verdict == looks[-1].outcome
        if verdict == NOT_FOUND:
            assert looks[-1].answered_at >= BEGAN + policy.not_found_grace
        if isinstance(verdict, Unavailable):
            assert policy.max_consecutive_failures is not None

    for held in world.looks:
        if isinstance(held.outcome, Unavailable) and held.outcome.for_load:
            until = min(held.answered_at + min(held.outcome.retry_after or 0, MAX_SERVER_DELAY), deadline)
            assert not any(held.answered_at < look.asked_at < until - TICK for look in world.looks)


@given(st.floats(0, 19.9), policies, st.integers(1, 30))
def test_a_picture_that_is_there_by_the_deadline_is_never_lost(ready_in, policy, requests):
    world = World(lambda request_id, number, now: READY if now >= BEGAN + ready_in else Pending())
    batch = world.wait(
        Batch([Requested(str(n)) for n in range(requests)], began=BEGAN, deadline=BEGAN + 20, policy=policy)
    )
    assert set(batch.verdicts.values()) == {READY}


@given(services, policies, st.floats(0, 120), st.none() | st.floats(0, 60), st.integers(1, 4))
def test_a_restart_in_the_middle_changes_nothing(script, policy, timeout, eta, most):
    def restart(batch: Batch) -> Batch:
        return Batch.from_dict(json.loads(json.dumps(batch.to_dict(), allow_nan=False)))

    def start() -> Batch:
        requests = [Requested(request_id, eta) for request_id in script]
        return Batch(requests, began=BEGAN, deadline=BEGAN + timeout, policy=policy)

    straight, restarted = World(play(script), most=most), World(play(script), most=most, between=restart)
    one, other = straight.wait(start()), restarted.wait(restart(start()))
    assert restarted.looks == straight.looks
    assert other.verdicts == one.verdicts
    assert restart(other).to_dict() == other.to_dict()


# Looks of others


def test_a_look_of_another_batch_gives_the_verdict():
    batch = batch_of("1", "2")
    batch.record("1", READY, BEGAN)
    assert batch.verdicts == {"1": READY}


def test_a_look_of_another_batch_moves_the_next_own_one():
    batch = batch_of("1")
    assert batch.take_due(BEGAN, 1) == ["1"]
    batch.record("1", Pending(), BEGAN)
    batch.record("1", Pending(), BEGAN + 4)
    assert batch.take_due(BEGAN + 8, 1) == []
    assert batch.take_due(BEGAN + 9.6, 1) == ["1"]


def test_another_s_impatience_does_not_grow_the_own_waits():
    batch = batch_of("1", timeout=1e6, poke_interval=1, exponential_backoff=True)
    for n in range(30):
        batch.record("1", Pending(), BEGAN + n)
    assert batch.take_due(BEGAN + 29 + 1.2, 1) == ["1"]


def test_another_s_failures_are_not_the_own_ones():
    batch = batch_of("1", max_consecutive_failures=3)
    for n in range(30):
        batch.record("1", DOWN, BEGAN + n / 10)
    assert batch.waiting == 1
    for n in range(1, 4):
        assert batch.take_due(BEGAN + 100 * n, 1) == ["1"]
        batch.record("1", DOWN, BEGAN + 100 * n)
    assert batch.verdicts == {"1": DOWN}


def test_a_look_of_another_batch_after_the_deadline_leaves_the_last_look_to_this_one():
    batch = batch_of("1", timeout=60)
    batch.record("1", Pending(), BEGAN + 61)
    assert batch.waiting == 1
    assert batch.take_due(BEGAN + 62, 1) == ["1"]
    batch.record("1", READY, BEGAN + 63)
    assert batch.verdicts == {"1": READY}


# At rest


def test_a_look_that_was_under_way_is_made_again_at_once():
    batch = batch_of("1", "2", eta=30)
    assert batch.take_due(BEGAN + 30, 1) == ["1"]
    again = Batch.from_dict(batch.to_dict())
    assert sorted(again.take_due(BEGAN + 30, 10)) == ["1", "2"]


def test_what_is_stored_is_small_and_plain():
    batch = batch_of("1", "2", timeout=60)
    batch.take_due(BEGAN, 1)
    batch.record("1", READY, BEGAN)
    assert batch.to_dict() == {
        "version": VERSION,
        "began": BEGAN,
        "deadline": BEGAN + 60,
        "held_until": BEGAN,
        "policy": PollPolicy().to_dict(),
        "waiting": [["2", BEGAN, 0, 0, 0]],
        "verdicts": {"1": {"outcome": "Ready", "output": ["https://a/0.png"]}},
    }


def test_fields_of_a_later_release_are_left_out():
    stored = batch_of("1", "2").to_dict()
    later = {
        **stored,
        "new": 1,
        "policy": {**stored["policy"], "new": 1},
        "waiting": [[*row, "new"] for row in stored["waiting"]],
    }
    later["verdicts"] = {"3": {"outcome": "Ready", "output": ["https://a/0.png"], "new": 1}}
    batch = Batch.from_dict(later)
    assert batch.take_due(BEGAN, 10) == ["1", "2"]
    assert batch.verdicts == {"3": READY}


@pytest.mark.parametrize("version", [0, VERSION + 1, "1", None])
def test_another_format_is_refused_with_what_to_do(version):
    with pytest.raises(
        ValueError, match=r"format .* cannot be read .* run the same airflow-provider-dreambooth"
    ):
        Batch.from_dict({**batch_of("1").to_dict(), "version": version})


@pytest.mark.parametrize(
    "broken",
    [
        {"version": None},
        {"began": "soon"},
        {"deadline": None},
        {"policy": 5},
        {"began": float("nan")},
        {"deadline": float("inf")},
        {"held_until": "1e999"},
        {"waiting": [["1"]]},
        {"waiting": [["1", None]]},
        {"waiting": [["1", float("nan")]]},
        {"waiting": [["1", 5.0, "many"]]},
        {"waiting": [["1", 5.0, float("inf")]]},
        {"waiting": 5},
        {"verdicts": [1]},
        {"verdicts": {"1": {}}},
        {"verdicts": {"1": {"outcome": "New"}}},
    ],
    ids=str,
)
def test_what_is_no_batch(broken):
    with pytest.raises(ValueError):
        Batch.from_dict({**batch_of("1").to_dict(), **broken})


@pytest.mark.parametrize("stored", [{}, [], None, "x", 5])
def test_what_is_nothing_like_a_batch(stored):
    with pytest.raises(ValueError, match="not a stored batch"):
        Batch.from_dict(stored)


def test_a_service_that_hangs_ends_the_looks_after_the_deadline_in_a_minute():
    """Two thousand ids at a service that hangs must not hold a worker for hours past the deadline."""
    batch = batch_of(*map(str, range(100)), timeout=10)
    late = BEGAN + 10
    for n in range(3):
        taken = batch.take_due(late + 30 * n, 10)
        for request_id in taken:
            batch.record(
                request_id, Unavailable("network", "no reply within 30 seconds"), late + 30 * (n + 1)
            )
    assert batch.take_due(late + 90, 10) == []
    assert batch.waiting == 0
    assert {type(verdict) for verdict in batch.verdicts.values()} == {TimedOut}


def test_a_restart_long_after_the_deadline_still_looks_at_each_of_them():
    stored = batch_of("1", "2", timeout=10).to_dict()
    batch = Batch.from_dict(stored)
    assert sorted(batch.take_due(BEGAN + 100_000, 10)) == ["1", "2"]


def test_while_the_service_answers_each_of_a_long_list_is_looked_at_after_the_deadline():
    batch = batch_of(*map(str, range(500)), timeout=10)
    now = BEGAN + 1000
    while batch.waiting:
        [request_id] = batch.take_due(now, 1)
        batch.record(request_id, READY, now)
        now += 1
    assert {type(verdict) for verdict in batch.verdicts.values()} == {Ready}
