# SPDX-License-Identifier: Apache-2.0
"""The trigger that lets time pass, re-created at any time and by any release."""

from __future__ import annotations

import asyncio
import time

from airflow_provider_dreambooth.api.packing import EVENT_VERSION
from airflow_provider_dreambooth.triggers.pause import DreamboothPauseTrigger
from tests.modes.task_runner import only_event, through_json

STATE = {"began": 1.5, "seed": "a", "for_load": 2}


def recreated(trigger):
    classpath, kwargs = trigger.serialize()
    assert classpath == "airflow_provider_dreambooth.triggers.pause.DreamboothPauseTrigger"
    return DreamboothPauseTrigger(**through_json(kwargs))


def test_it_ends_at_its_moment_and_not_before():
    until = time.time() + 0.3
    event = asyncio.run(only_event(recreated(DreamboothPauseTrigger(until=until, state=STATE))))
    assert time.time() >= until
    assert through_json(event) == {"version": EVENT_VERSION, "state": STATE}


def test_a_moment_that_passed_while_no_triggerer_ran():
    event = asyncio.run(only_event(recreated(DreamboothPauseTrigger(until=time.time() - 3600, state=STATE))))
    assert event["state"] == STATE


def test_it_cannot_fail_to_be_created():
    """A raise would end the whole triggerer: not with nothing given, nor with what a later release adds."""
    assert asyncio.run(only_event(DreamboothPauseTrigger()))["state"] is None
    assert DreamboothPauseTrigger(until=1.0, state=STATE, later="x").serialize()[1] == {
        "until": 1.0,
        "state": STATE,
    }


def test_many_pauses_cost_one_loop():
    async def wait():
        until = time.time() + 0.2
        triggers = [recreated(DreamboothPauseTrigger(until=until, state={"n": n})) for n in range(500)]
        return await asyncio.gather(*map(only_event, triggers))

    assert [event["state"]["n"] for event in asyncio.run(wait())] == list(range(500))
