# SPDX-License-Identifier: Apache-2.0
"""The sensor: waits until queued pictures are ready."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    Context,
    conf,
)

from airflow_provider_dreambooth.api import parameters
from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.packing import pack, unpack
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.request_ids import RequestList
from airflow_provider_dreambooth.ending import end_with
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.results import error_of, read_request_ids, results_for
from airflow_provider_dreambooth.waiting import (
    begin,
    check_at_least,
    keeping_ready,
    look_then_defer,
    raise_keeping_ready,
    resume,
    time_to_wait,
)

STATE_KEY = "dreambooth_wait"


class DreamboothFetchSensor(BaseSensorOperator):
    """
    Wait until the pictures of queued requests are ready, and return their links.

    XCom ``return_value``: for one id ``{"request_id", "status": "success", "output": [links], …}``, for a
    list a list of these in the order given. If a request fails, the others are still waited for; then XCom
    ``ready`` holds what is ready, ``failed`` the reasons, and the error names each id. Every mode gives
    the same result and the same exception; see :mod:`airflow_provider_dreambooth.exceptions` for which retry.

    :param request_id: an id, a list of ids, or what a generation task returned. (templated)
    :param dreambooth_conn_id: the connection of type ``dreambooth``. (templated)
    :param deferrable: wait in the triggerer, without a worker slot.
    :param end_from_trigger: also end there if all is ready, instead of on a worker, where Airflow can do so.
    :param poke_interval: seconds between two looks, a tenth more or less.
    :param timeout: seconds from the start of this try to the deadline; each request gets one more look then.
    :param not_found_grace: seconds for which "Request not found" is taken as "not yet".
    :param max_consecutive_failures: unusable answers in a row, for one id, that end the wait; they double
        the wait between looks, up to 60 seconds. With ``silent_fail`` only the deadline does.
    """

    template_fields: Sequence[str] = ("request_id", "dreambooth_conn_id")
    ui_color = "#e8dcf7"

    def __init__(
        self,
        *,
        request_id: Any,
        dreambooth_conn_id: str = DreamboothHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        poke_interval: float | timedelta = 5.0,
        not_found_grace: float = 30.0,
        max_consecutive_failures: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        check_at_least(
            not_found_grace=(not_found_grace, 0), max_consecutive_failures=(max_consecutive_failures, 1)
        )
        self.request_id = request_id
        self.dreambooth_conn_id = dreambooth_conn_id
        self.deferrable = parameters.switch("deferrable", deferrable)
        self.end_from_trigger = parameters.switch("end_from_trigger", end_from_trigger)
        self.not_found_grace = not_found_grace
        self.max_consecutive_failures = max_consecutive_failures

    def execute(self, context: Context) -> Any:
        """
        Wait in the chosen mode.

        Airflow's own loop is not used: it sleeps a fixed interval between pokes, where here the service's
        ``eta`` and delays decide, and it does not look again at the deadline before it judges.
        """
        with self._skipping():
            asked = read_request_ids(self.request_id)
            batch = self._begun(context, asked)
            with keeping_ready(context, batch, asked):
                if self.deferrable:
                    look_then_defer(
                        self,
                        batch,
                        self.dreambooth_conn_id,
                        lambda: end_with(self, context, asked) if self.end_from_trigger else None,
                    )
                elif batch.waiting:
                    with DreamboothHook(self.dreambooth_conn_id) as hook:
                        if self.reschedule:
                            hook.look(batch)
                        else:
                            hook.wait_for(batch)
        if batch.waiting:
            self._keep(context, batch)
            raise AirflowRescheduleException(datetime.fromtimestamp(batch.next_due, tz=UTC))
        return self._conclude(context, batch, asked)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """Take the trigger's event: return the results, or raise what the other modes raise."""
        with self._skipping():
            asked = read_request_ids(self.request_id)
            batch = resume(context, event, asked, self.dreambooth_conn_id)
        return self._conclude(context, batch, asked)

    def _begun(self, context: Context, asked: RequestList) -> Batch:
        began = None
        if self.reschedule and not self.deferrable:
            if batch := self._kept(context, asked):
                return batch
            began = _first_look_at(context)
        policy = PollPolicy(
            poke_interval=self.poke_interval,
            exponential_backoff=bool(self.exponential_backoff),
            max_wait=None if self.max_wait is None else self.max_wait.total_seconds(),
            not_found_grace=self.not_found_grace,
            max_consecutive_failures=None if self.silent_fail else self.max_consecutive_failures,
        )
        return begin(context, asked, timeout=time_to_wait(self), policy=policy, began=began)

    def _keep(self, context: Context, batch: Batch) -> None:
        """
        Leave the batch for the next look of this try.

        Airflow has a place for it from 3.3 on. Before that each look of reschedule mode asks for every id
        again, and its consecutive failures are not counted: the deadline ends it.
        """
        if (store := context.get("task_state_store")) is not None:
            store.set(STATE_KEY, {"try_number": context["ti"].try_number, "batch": pack(batch)})

    def _kept(self, context: Context, asked: RequestList) -> Batch | None:
        store = context.get("task_state_store")
        kept: Any = None if store is None else store.get(STATE_KEY)
        if not isinstance(kept, dict) or kept.get("try_number") != context["ti"].try_number:
            return None
        try:
            batch = unpack(kept["batch"])
        except (ValueError, KeyError):
            return None  # written by another release: look at everything again
        return batch if batch.request_ids == set(asked.order) else None

    def _conclude(self, context: Context, batch: Batch, asked: RequestList) -> Any:
        if self.reschedule and (store := context.get("task_state_store")) is not None:
            store.delete(STATE_KEY)
        with self._skipping():
            if error := error_of(batch, asked, self.dreambooth_conn_id):
                raise_keeping_ready(context, batch, asked, error)
        self.log.info("%s on connection %r", batch.progress, self.dreambooth_conn_id)
        return results_for(batch, asked)

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """Give soft_fail and never_fail the meaning they have in Airflow's poke mode, in every mode."""
        try:
            yield
        except (AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout) as error:
            if self.soft_fail or self.never_fail:
                flag = "soft_fail" if self.soft_fail else "never_fail"
                raise AirflowSkipException(f"Skipping, as {flag} is set: {error}") from error
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(f"Skipping, as never_fail is set: {error}") from error
            raise


def _first_look_at(context: Context) -> float | None:
    """Epoch seconds of the first look of a rescheduled task; None if this is the first."""
    ti: Any = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        first = ti.get_first_reschedule_date(context)
    else:
        # As the sensors of Airflow 2.11 do it.
        from airflow.sensors.base import _orig_start_date  # type: ignore[import-not-found,unused-ignore]

        first_try = (ti.max_tries or 0) - (ti.task.retries or 0) + 1
        first = _orig_start_date(ti.dag_id, ti.task_id, ti.run_id, ti.map_index, first_try)
    if isinstance(first, str):  # so it comes in dag.test() of Airflow 3.0
        first = datetime.fromisoformat(first)
    return first.timestamp() if first else None
