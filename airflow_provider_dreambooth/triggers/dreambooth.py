# SPDX-License-Identifier: Apache-2.0
"""The trigger: waits in the triggerer for any number of requests, over one shared session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.packing import EVENT_VERSION, pack, unpack
from airflow_provider_dreambooth.api.wording import one_line
from airflow_provider_dreambooth.ending import push_results
from airflow_provider_dreambooth.exceptions import DreamboothConnectionError
from airflow_provider_dreambooth.hooks.shared import shared_service

T = TypeVar("T")
PROGRESS_SECONDS = 10.0
"""Shortest time between two progress lines of a trigger: all logs go through the triggerer's one socket."""


class DreamboothFetchTrigger(BaseTrigger):
    """
    Poll the requests of a batch until each is ready, has failed, or the batch's deadline has passed.

    It yields exactly one event, ``{"version": 1, "batch": …, "error": None | {"kind", "message"}}``, where
    ``batch`` is the batch as :func:`~airflow_provider_dreambooth.api.packing.pack` stores it, with a verdict
    for each request. The deadline is absolute, so a restarted triggerer neither extends nor breaks it: it
    looks once more, then judges.

    :param dreambooth_conn_id: the connection; the key itself is never among the arguments, which
        Airflow stores in clear text.
    :param batch: the stored batch.
    :param end_with: from :func:`~airflow_provider_dreambooth.ending.end_with`; then, if every request is
        ready, the one event is a ``TaskSuccessEvent``, and the results are in XCom.
    """

    def __init__(
        self,
        dreambooth_conn_id: str = "dreambooth_default",
        batch: dict[str, Any] | str | None = None,
        end_with: Any = None,
        **later: Any,
    ) -> None:
        # A raise in here would end the whole triggerer, so everything is checked in run(). `later` takes
        # arguments of a newer release that an older triggerer re-creates.
        super().__init__()  # type: ignore[no-untyped-call]
        self.dreambooth_conn_id = dreambooth_conn_id
        self.batch = batch
        self.end_with = end_with

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Name the class and its arguments, JSON primitives all of them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "dreambooth_conn_id": self.dreambooth_conn_id,
                "batch": self.batch,
                "end_with": self.end_with,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, with the session given back before the one event is yielded."""
        batch, error = await self._wait()
        if batch is not None and error is None and await self._ended(batch):
            self.log.info(
                "%s on connection %r; ended in the triggerer", batch.progress, self.dreambooth_conn_id
            )
            yield TaskSuccessEvent()
        else:
            stored = self.batch if batch is None else await self._aside(pack, batch)
            yield TriggerEvent({"version": EVENT_VERSION, "batch": stored, "error": error})

    async def _wait(self) -> tuple[Batch | None, dict[str, str] | None]:
        batch, error = None, None
        try:
            batch = await self._aside(unpack, self.batch)
            async with shared_service(self.dreambooth_conn_id) as service:
                self.log.info("%s on connection %r", batch.progress, self.dreambooth_conn_id)
                await service.poller.wait(batch, self._reporter(batch))
        except DreamboothConnectionError as problem:
            error = {"kind": "connection", "message": str(problem)}
        except Exception as problem:  # told in the task's log with its cause, and again by the task itself
            self.log.exception("Waiting broke off")
            error = {"kind": "unexpected", "message": one_line(f"{type(problem).__name__}: {problem}")}
        return batch, error

    async def _ended(self, batch: Batch) -> bool:
        """Say whether the task may end here; never in dag.test(), which gives no task instance."""
        if self.end_with is None or self.task_instance is None:
            return False
        try:
            return await push_results(self.task_instance, batch, self.end_with)
        except Exception:
            self.log.warning("Could not end in the triggerer; a worker will end the task", exc_info=True)
            return False

    async def _aside(self, work: Callable[[Any], T], argument: Any) -> T:
        """Read or write a large batch in a thread: it takes long, and the other triggers go on meanwhile."""
        return await asyncio.to_thread(work, argument) if isinstance(self.batch, str) else work(argument)

    def _reporter(self, batch: Batch) -> Callable[[], None]:
        said_at = time.monotonic()

        def report() -> None:
            nonlocal said_at
            if time.monotonic() - said_at >= PROGRESS_SECONDS:
                said_at = time.monotonic()
                self.log.info("%s", batch.progress)

        return report
