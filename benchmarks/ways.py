# SPDX-License-Identifier: Apache-2.0
"""The ways to wait for many requests that the benchmarks compare.

Each way imports what it needs when it is called, outside of any event loop, and returns a function that makes
the coroutine, which waits until it is cancelled. Triggers run as Airflow's triggerer (3.3) runs them: a task
each in one event loop, within a greenback portal, with Airflow's log as JSON. The bare loop only polls: no
portal, no log.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import greenback
from service import KEY

Wait = Coroutine[Any, Any, None]
FETCH = "/api/v4/dreambooth/fetch"
CONNECTIONS = 10
"""Sockets of the bare loop: as many as a connection of the provider's has unless told otherwise."""
JITTER = 0.1
LIFETIME = 86400.0
"""Seconds until a wait's deadline."""


@dataclass(frozen=True)
class Load:
    """
    What is waited for.

    :param count: ids.
    :param interval: seconds between two polls of an id.
    :param at_once: how many waits begin together; all have begun after about one interval.
    """

    count: int
    interval: float
    at_once: int = 1

    async def begin(self, waits: Iterable[Wait]) -> None:
        """
        Begin them over an interval, and raise what the first of them raises.

        They begin at instants by chance, the same for all ways: polls that come evenly would never share a
        turn of the event loop, and polls in step would always.
        """
        chance = random.Random(0)
        async with asyncio.TaskGroup() as group:
            for number, wait in enumerate(waits, 1):
                group.create_task(wait)
                if number % self.at_once == 0:
                    await asyncio.sleep(chance.expovariate(self.count / self.interval / self.at_once))


def triggers(load: Load) -> Callable[[], Wait]:
    """Wait with one of our triggers for each id."""
    trigger = _our_trigger()
    return lambda: load.begin(
        _as_triggerer(trigger(_stored([str(number)], load.interval))) for number in range(load.count)
    )


def one_list(load: Load) -> Callable[[], Wait]:
    """Wait with one of our triggers for all ids; it spreads the first looks, as they are overdue."""
    trigger = _our_trigger()

    def wait() -> Wait:
        ids = [str(number) for number in range(load.count)]
        return _as_triggerer(trigger(_stored(ids, load.interval, late=2 * load.interval)))

    return wait


def http_sensor(load: Load) -> Callable[[], Wait]:
    """
    Wait with one of the official triggers for each id.

    It asks again on HTTP 404 only, so here the service says 404: what the real one says, HTTP 200, it takes
    for the end of the wait, and a sensor with a ``response_check`` does not defer.
    """
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    def trigger(request_id: str) -> Any:
        return HttpSensorTrigger(
            endpoint=f"404{FETCH}",
            method="POST",
            data=json.dumps({"key": KEY, "request_id": request_id}),
            headers={"Content-Type": "application/json"},
            poke_interval=load.interval,
        )

    _log_as_in_the_triggerer()
    return lambda: load.begin(_as_triggerer(trigger(str(number))) for number in range(load.count))


def bare(load: Load) -> Callable[[], Wait]:
    """
    Poll over one session and do nothing else: what no trigger can beat.

    Its sleeps vary as ours do, by :data:`JITTER`, so that its polls do not fall into step.
    """
    import aiohttp

    chance = random.Random(0)
    url = json.loads(os.environ["AIRFLOW_CONN_DREAMBOOTH_DEFAULT"])["host"] + FETCH

    async def all_of_them() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:

            async def wait(request_id: str) -> None:
                while True:
                    async with session.post(url, json={"key": KEY, "request_id": request_id}) as reply:
                        await reply.read()
                    await asyncio.sleep(load.interval * chance.uniform(1 - JITTER, 1 + JITTER))

            await load.begin(wait(str(number)) for number in range(load.count))

    return all_of_them


WAYS: dict[str, Callable[[Load], Callable[[], Wait]]] = {
    "triggers": triggers,
    "list": one_list,
    "bare": bare,
    "http": http_sensor,
}


def _our_trigger() -> Callable[[Any], Any]:
    """Import our trigger, and have one waited to its end: what it imports at its first look is no stall."""
    from airflow_provider_dreambooth.triggers.dreambooth import DreamboothFetchTrigger

    _log_as_in_the_triggerer()
    trigger = partial(DreamboothFetchTrigger, "dreambooth_default")

    async def one() -> list[Any]:
        return [event async for event in trigger(_stored(["1"], 1.0, late=2 * LIFETIME)).run()]

    asyncio.run(one())
    return trigger


def _stored(ids: list[str], interval: float, late: float = 0.0) -> Any:
    """Make what a sensor stored for its trigger ``late`` seconds ago."""
    from airflow_provider_dreambooth.api.batch import Batch
    from airflow_provider_dreambooth.api.packing import pack
    from airflow_provider_dreambooth.api.polling import PollPolicy
    from airflow_provider_dreambooth.api.request_ids import Requested

    began = time.time() - late
    policy = PollPolicy(poke_interval=interval)
    return pack(Batch(map(Requested, ids), began=began, deadline=began + LIFETIME, policy=policy))


async def _as_triggerer(trigger: Any) -> None:
    """Run a trigger that will never have an event."""
    await greenback.ensure_portal()
    async for event in trigger.run():
        raise RuntimeError(f"nothing is ever ready here, but the trigger says {event}")


def _log_as_in_the_triggerer() -> None:
    """Send Airflow's log through a socket to another process, as the triggerer's does; that one drops it."""
    from airflow.sdk.log import configure_logging

    ours, theirs = socket.socketpair()
    subprocess.Popen(["cat"], stdin=theirs, stdout=subprocess.DEVNULL)  # it ends with this process
    theirs.close()
    configure_logging(json_output=True, output=os.fdopen(ours.detach(), "wb", 0), sending_to_supervisor=True)
