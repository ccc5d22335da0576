# SPDX-License-Identifier: Apache-2.0
"""Many waits on one connection: what is shared between them, and what is not."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextvars import ContextVar

import pytest

from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.replies import Ready, TimedOut
from airflow_provider_dreambooth.api.request_ids import parse_request_ids
from airflow_provider_dreambooth.client.aio import AsyncClient
from airflow_provider_dreambooth.client.config import from_fields
from airflow_provider_dreambooth.client.poller import Poller
from airflow_provider_dreambooth.hooks.shared import shared_service
from airflow_provider_dreambooth.sandbox import Sandbox

KEY = "sandbox-key"


@pytest.fixture
def sandbox():
    with Sandbox(key=KEY) as running:
        yield running


@pytest.fixture
def service(sandbox, monkeypatch):
    """Make the connection as Airflow has it, with these extras."""

    def connected(**extra):
        connection = {**json.loads(sandbox.connection_json), "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SERVICE", json.dumps(connection))
        return shared_service("service")

    return connected


def batch_of(*ids, began=None, timeout=60.0, **policy):
    began = time.time() if began is None else began
    policy = {"poke_interval": 0.2, **policy}
    return Batch(
        parse_request_ids(list(ids)).requests,
        began=began,
        deadline=began + timeout,
        policy=PollPolicy(**policy),
    )


def nothing():
    pass


async def waited(poller, batch):
    await poller.wait(batch, nothing)
    return batch.verdicts


async def test_two_waits_for_the_same_request_share_each_look(sandbox, service):
    alone, shared = sandbox.add(prompt="alone", ready_in=2.0), sandbox.add(prompt="shared", ready_in=2.0)
    async with service() as it:
        one = asyncio.create_task(waited(it.poller, batch_of(alone, shared)))
        await asyncio.sleep(0.07)  # neither at the same time, nor in step
        others = [asyncio.create_task(waited(it.poller, batch_of(shared))) for _ in range(5)]
        ended = await asyncio.gather(one, *others)
    assert all(isinstance(verdicts[shared], Ready) for verdicts in ended)
    # A wait that joins looks at once; from then on there is one look for all six, as for one alone.
    assert sandbox.fetches(shared) <= sandbox.fetches(alone) + 6


async def test_waits_that_come_together_send_one_request(sandbox, service):
    request_id = sandbox.add(prompt="x", replies=("delay:0.2",))
    async with service() as it:
        ended = await asyncio.gather(*(waited(it.poller, batch_of(request_id)) for _ in range(50)))
    assert all(isinstance(verdicts[request_id], Ready) for verdicts in ended)
    assert sandbox.fetches(request_id) == 1


async def test_a_cancelled_wait_leaves_the_look_to_those_who_share_it(sandbox, service):
    request_id = sandbox.add(prompt="x", replies=("delay:0.5",))
    async with service() as it:
        first = asyncio.create_task(waited(it.poller, batch_of(request_id)))
        await asyncio.sleep(0.2)
        second = asyncio.create_task(waited(it.poller, batch_of(request_id)))
        await asyncio.sleep(0.1)
        first.cancel()
        assert isinstance((await second)[request_id], Ready)
        assert first.cancelled()
    assert sandbox.fetches(request_id) == 1


async def test_after_a_restart_overdue_looks_are_spread_over_the_interval(sandbox, service):
    ids = [sandbox.add(prompt=str(n)) for n in range(200)]
    stored = [batch_of(rid, began=time.time() - 120, timeout=3600, poke_interval=2.0) for rid in ids]
    async with service() as it:
        await asyncio.gather(*(waited(it.poller, Batch.from_dict(batch.to_dict())) for batch in stored))
    began = min(record.time for record in sandbox.journal)
    in_each_fifth = Counter(int((record.time - began) / 0.4) for record in sandbox.journal)
    assert sum(in_each_fifth.values()) == 200
    assert max(in_each_fifth.values()) < 80  # 40 on average; all 200 at once without it


async def test_what_is_due_is_not_held_back_by_what_is_spread(sandbox, service):
    late = [sandbox.add(prompt=str(n)) for n in range(20)]
    fresh = sandbox.add(prompt="fresh")
    async with service() as it:
        storm = [
            asyncio.create_task(
                waited(it.poller, batch_of(rid, began=time.time() - 120, timeout=3600, poke_interval=5.0))
            )
            for rid in late
        ]
        await asyncio.sleep(0)
        await waited(it.poller, batch_of(fresh))
        assert not all(task.done() for task in storm)
        for task in storm:
            task.cancel()
        await asyncio.gather(*storm, return_exceptions=True)


async def test_a_refusal_for_load_slows_every_wait_of_the_connection(sandbox, service):
    ids = [sandbox.add(prompt=str(n), ready_in=1.0) for n in range(30)]
    async with service() as it:
        waits = [asyncio.create_task(waited(it.poller, batch_of(rid))) for rid in ids]
        await asyncio.sleep(0.5)
        sandbox.script("fetch", ["http_429:2"])
        ended = await asyncio.gather(*waits)
    assert all(isinstance(verdict, Ready) for verdicts in ended for verdict in verdicts.values())
    [limited] = [record.time for record in sandbox.journal if record.http == 429]
    times = [record.time for record in sandbox.journal]
    assert not [when for when in times if 0.3 < when - limited < 1.9]
    # About 150 a second before, at most 75 after.
    after = sorted(when for when in times if when - limited > 1.9)
    assert len(after) >= 30
    assert after[29] - after[0] > 0.2


async def test_a_wait_past_its_deadline_does_not_queue_behind_a_service_that_hangs(
    sandbox, service, monkeypatch
):
    monkeypatch.setattr("airflow_provider_dreambooth.client.poller.LAST_ROUND", 1.0)
    sandbox.script("fetch", ["delay:60"] * 100)
    ids = [sandbox.add(prompt=str(n)) for n in range(6)]
    async with service(max_connections=1, timeout=30) as it:
        ended = await asyncio.gather(*(waited(it.poller, batch_of(rid, timeout=0.5)) for rid in ids))
    assert all(isinstance(verdict, TimedOut) for verdicts in ended for verdict in verdicts.values())
    assert len(sandbox.journal) <= 1


async def test_waits_that_are_gone_take_no_turns(sandbox, service):
    gone = [sandbox.add(prompt=str(n), ready_in=3600) for n in range(200)]
    left = sandbox.add(prompt="x", ready_in=1.5)
    async with service(requests_per_second=10) as it, asyncio.timeout(8):
        tasks = [asyncio.create_task(waited(it.poller, batch_of(rid))) for rid in gone]
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        assert isinstance((await waited(it.poller, batch_of(left)))[left], Ready)


async def test_looks_that_are_shared_take_one_turn(sandbox, service):
    shared, alone = (sandbox.add(prompt=name, ready_in=3.0) for name in "ab")
    async with service(requests_per_second=10) as it, asyncio.timeout(20):
        await asyncio.gather(
            *(waited(it.poller, batch_of(shared, poke_interval=0.5)) for _ in range(40)),
            waited(it.poller, batch_of(alone, poke_interval=0.5)),
        )
    assert sandbox.fetches(alone) >= sandbox.fetches(shared) / 2


async def test_a_redirect_takes_a_turn_of_its_own(sandbox, service):
    ids = [sandbox.add(prompt=str(n), replies=("redirect_308",)) for n in range(5)]
    async with service(requests_per_second=5) as it, asyncio.timeout(30):
        await asyncio.gather(*(waited(it.poller, batch_of(rid)) for rid in ids))
    times = sorted(record.time for record in sandbox.journal)
    assert len(times) >= 2 * len(ids)
    assert times[-1] - times[0] > (len(times) - 1) / 5 - 0.5  # seconds; the journal's clock is the service's


async def test_refusals_for_load_do_not_put_the_deadline_off(sandbox, service, monkeypatch):
    monkeypatch.setattr("airflow_provider_dreambooth.client.poller.LAST_ROUND", 1.0)
    sandbox.script("fetch", ["http_429:300"] * 100)
    async with service() as it, asyncio.timeout(20):
        ended = await asyncio.gather(*(waited(it.poller, batch_of(n, timeout=0.5)) for n in range(1, 6)))
    verdicts = [verdict for each in ended for verdict in each.values()]
    assert all(isinstance(verdict, TimedOut) for verdict in verdicts)
    assert len(sandbox.journal) <= 10


async def test_a_wait_ends_though_another_goes_on_asking_for_its_ids(sandbox, service):
    ids = [sandbox.add(prompt=str(n), ready_in=3600, replies=("delay:0.1",) * 999) for n in range(30)]
    async with service(max_connections=4) as it:
        patient = asyncio.create_task(waited(it.poller, batch_of(*ids, timeout=60)))
        async with asyncio.timeout(15):
            verdicts = await waited(it.poller, batch_of(*ids, timeout=1))
        assert {type(verdict) for verdict in verdicts.values()} == {TimedOut}
        assert not patient.done()
        patient.cancel()
        await asyncio.gather(patient, return_exceptions=True)


async def test_progress_is_told_in_the_context_of_the_wait(sandbox, service):
    whose = ContextVar("whose")
    told = []

    async def one(name, request_id):
        whose.set(name)
        await it.poller.wait(batch_of(request_id), lambda: told.append((name, whose.get())))

    ids = [sandbox.add(prompt="x", ready_in=0.4) for _ in range(3)]
    async with service() as it:
        await asyncio.gather(*(one(n, rid) for n, rid in enumerate(ids)))
    assert sorted(told) == [(0, 0), (1, 1), (2, 2)]


async def test_what_breaks_while_progress_is_told_breaks_that_wait_alone(sandbox, service):
    def broken():
        raise LookupError("broken")

    good, bad, never = (sandbox.add(prompt="x", ready_in=ready_in) for ready_in in (0.6, 0.0, 3600))
    async with service(max_connections=1) as it:
        ended = await asyncio.gather(
            it.poller.wait(batch_of(bad, never), broken),
            waited(it.poller, batch_of(good)),
            return_exceptions=True,
        )
    assert isinstance(ended[0], LookupError)
    assert isinstance(ended[1][good], Ready)


async def test_waits_under_way_stay_at_their_host_when_the_connection_moves(sandbox, service, monkeypatch):
    monkeypatch.setattr("airflow_provider_dreambooth.hooks.connection.TTL", 0.0)
    old = sandbox.add(prompt="x", ready_in=1.0)
    with Sandbox(key=KEY, seed=1) as elsewhere:
        new = elsewhere.add(prompt="y")
        async with service() as it:
            task = asyncio.create_task(waited(it.poller, batch_of(old, not_found_grace=0)))
            await asyncio.sleep(0.3)
            monkeypatch.setenv("AIRFLOW_CONN_SERVICE", elsewhere.connection_json)
            async with shared_service("service") as there:
                assert isinstance((await waited(there.poller, batch_of(new)))[new], Ready)
            assert isinstance((await task)[old], Ready)


async def test_a_changed_limit_of_connections_holds_for_the_waits_under_way(sandbox, service, monkeypatch):
    monkeypatch.setattr("airflow_provider_dreambooth.hooks.connection.TTL", 0.0)
    ids = [sandbox.add(prompt=str(n), ready_in=3600, replies=("delay:0.2",) * 99) for n in range(20)]
    async with service(max_connections=5) as it:
        task = asyncio.create_task(waited(it.poller, batch_of(*ids, timeout=3)))
        await asyncio.sleep(0.5)
        async with service(max_connections=1):
            await asyncio.sleep(0.5)
            seen = len(sandbox.journal)
            await asyncio.sleep(1.0)
            assert len(sandbox.journal) - seen <= 6  # 25 with five lanes
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("steps", range(4))
async def test_cancelled_while_the_last_one_leaves_it_leaves_no_socket_open(sandbox, service, steps):
    request_id = sandbox.add(prompt="x", ready_in=3600)

    async def one():
        async with service() as it:
            sessions.append(it._client._session)
            await waited(it.poller, batch_of(request_id))

    sessions = []
    task = asyncio.create_task(one())
    await asyncio.sleep(0.2)
    task.cancel()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0.1)
    assert [session.closed for session in sessions] == [True]


async def test_a_key_that_is_replaced_leaves_no_session_behind(sandbox, service, monkeypatch):
    monkeypatch.setattr("airflow_provider_dreambooth.hooks.connection.TTL", 0.0)
    async with service(timeout=1) as it:
        former = it._client._session
        async with service(timeout=2) as same:
            assert same is it
            assert former.closed
            assert not it._client._session.closed


async def test_what_breaks_in_a_look_is_told_to_its_waits_and_to_no_other(sandbox):
    class Broken(AsyncClient):
        most = 10

        async def fetch(self, request_id):
            if request_id == "666":
                raise LookupError("broken")
            return await super().fetch(request_id)

    good = sandbox.add(prompt="x", ready_in=0.5)
    client = Broken(from_fields(host=sandbox.url, port=None, password=KEY, extra={}))
    poller = Poller(client)
    broken, well = batch_of("666"), batch_of(good)
    ended = await asyncio.gather(waited(poller, broken), waited(poller, well), return_exceptions=True)
    await poller.close()
    await client.close()
    assert isinstance(ended[0], LookupError)
    assert isinstance(ended[1][good], Ready)


async def test_a_changed_connection_is_followed_by_the_waits_under_way(sandbox, service, monkeypatch):
    request_id = sandbox.add(prompt="x", ready_in=1.0)
    async with service() as it:
        task = asyncio.create_task(waited(it.poller, batch_of(request_id)))
        await asyncio.sleep(0.3)
        sandbox.set_key("another-key")
        connection = {**json.loads(sandbox.connection_json), "password": "another-key"}
        monkeypatch.setenv("AIRFLOW_CONN_SERVICE", json.dumps(connection))
        assert isinstance((await task)[request_id], Ready)
    assert sum(not record.key_ok for record in sandbox.journal) == 1


async def test_nothing_is_left_running_when_the_last_has_gone(sandbox, service):
    before = asyncio.all_tasks()
    request_id = sandbox.add(prompt="x", ready_in=3600)
    async with service() as it:
        task = asyncio.create_task(waited(it.poller, batch_of(request_id)))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert asyncio.all_tasks() == before
