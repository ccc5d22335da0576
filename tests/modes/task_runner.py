# SPDX-License-Identifier: Apache-2.0
"""What Airflow does around a task, for tests that compare the modes: new objects and JSON at every border.

Airflow itself runs the same tasks in tests/system; here a whole matrix of scenarios takes seconds.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_dreambooth.triggers.dreambooth import DreamboothFetchTrigger
from airflow_provider_dreambooth.triggers.pause import DreamboothPauseTrigger
from tests.airflow_versions import HAS_STATE_STORE, line_to_airflow, pushed_xcom

TRIGGERS = {
    f"{cls.__module__}.{cls.__qualname__}": cls for cls in (DreamboothFetchTrigger, DreamboothPauseTrigger)
}

if TYPE_CHECKING:
    from collections.abc import Callable


def through_json(value: Any) -> Any:
    """Pass a value the way Airflow stores it."""
    return json.loads(json.dumps(value))


@dataclass
class TaskInstance:
    """Airflow's side of one task: XCom, the number of the try, and when it was first rescheduled."""

    try_number: int = 1
    dag_id: str = "modes"
    task_id: str = "wait"
    run_id: str = "by_hand"
    map_index: int = -1
    is_mapped: bool = False
    max_tries: int = 0
    xcoms: dict[str, Any] = field(default_factory=dict)
    first_rescheduled: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = through_json(value)

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.xcoms.get(key)

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.first_rescheduled


class StateStore(dict):  # type: ignore[type-arg]
    """Airflow 3.3's task state store: JSON in, JSON out."""

    def set(self, key: str, value: Any) -> None:
        self[key] = through_json(value)

    def delete(self, key: str) -> None:
        self.pop(key, None)


@dataclass
class Triggerer:
    """The end of a trigger's line to Airflow: it stores the XComs that come along."""

    ti: TaskInstance

    async def asend(self, message: Any) -> None:
        self.send(message)

    def send(self, message: Any) -> None:
        if pushed := pushed_xcom(message):
            place = (pushed.dag_id, pushed.task_id, pushed.run_id, pushed.map_index)
            assert place == (self.ti.dag_id, self.ti.task_id, self.ti.run_id, self.ti.map_index)
            self.ti.xcom_push(pushed.key, pushed.value)


@dataclass
class Ended:
    """How a task ended."""

    result: Any
    error: BaseException | None
    xcoms: dict[str, Any]
    deferred: int
    events: list[Any]


def run_task(
    make_task: Callable[[], Any],
    *,
    state_store: bool | StateStore = HAS_STATE_STORE,
    try_number: int = 1,
    max_tries: int = 0,
) -> Ended:
    """
    Run a task to its end, through every deferral and reschedule, each on a task object of its own.

    :param state_store: whether this Airflow has one, or what an earlier try left in it.
    """
    ti = TaskInstance(try_number, max_tries=max_tries)
    context: dict[str, Any] = {"ti": ti}
    if state_store is not False:
        context["task_state_store"] = StateStore() if state_store is True else state_store
    events: list[Any] = []
    step: Callable[[], Any] = partial(_execute, make_task, context)
    while True:
        try:
            return Ended(through_json(step()), None, ti.xcoms, len(events), events)
        except TaskDeferred as deferred:
            classpath, kwargs = deferred.trigger.serialize()
            trigger = TRIGGERS[classpath](**through_json(kwargs))
            trigger.task_instance = ti  # type: ignore[assignment]
            with line_to_airflow(Triggerer(ti)):
                event = asyncio.run(_only(trigger))
            events.append(through_json(event.payload))
            if isinstance(event, TaskSuccessEvent):
                return Ended(ti.xcoms.pop("return_value"), None, ti.xcoms, len(events), events)
            event = events[-1]
            step = partial(make_task().resume_execution, deferred.method_name, {"event": event}, context)
        except AirflowRescheduleException as reschedule:
            ti.first_rescheduled = ti.first_rescheduled or datetime.now(tz=UTC)
            ti.xcoms.clear()  # as Airflow does at each new start of a task
            time.sleep(max(reschedule.reschedule_date.timestamp() - time.time(), 0))
            step = partial(_execute, make_task, context)
        except BaseException as error:  # noqa: BLE001 - the error is the result
            return Ended(None, error, ti.xcoms, len(events), events)


def _execute(make_task: Callable[[], Any], context: dict[str, Any]) -> Any:
    return make_task().execute(context)


async def only_event(trigger: DreamboothFetchTrigger) -> Any:
    """Run a trigger to its end and return the payload of its one event."""
    return (await _only(trigger)).payload


async def _only(trigger: BaseTrigger) -> TriggerEvent:
    [event] = [event async for event in trigger.run()]
    assert isinstance(event, TriggerEvent)
    return event
