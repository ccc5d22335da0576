# SPDX-License-Identifier: Apache-2.0
"""How a sandbox behaves: every knob in one place."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_dreambooth.sandbox.faults import TRANSIENT
from airflow_provider_dreambooth.sandbox.script import Script

MODELS = ("midjourney", "f222-diffusion", "flux", "sdxl", "realistic-vision-v51", "dream-shaper-v8")


@dataclass(frozen=True)
class Settings:
    """The behaviour of a sandbox. Times are in seconds.

    :param seed: of the pictures, of run times drawn from a range and of the faults at random.
    :param run_time: how long a submitted (with ``any_id``: an unknown) request takes; a pair is a range.
    :param max_parallel: how many jobs run at a time, the others wait; None for no limit.
    :param max_queued: how many unfinished requests an account may have, else ``queue_full_2025``; None: any.
    :param queue_retry_after: the ``retry_after`` told when the queue is full; shorter for tests.
    :param plan_limit: how many submits an account may make, else ``monthly_limit``; None: any.
    :param eta_error: the etas told are the true ones times this.
    :param speed: run times and etas pass so many times faster, reloads as well.
    :param fault_rate: the share of fetches (0..1) that fail at random, drawn from ``faults``.
    :param faults: as in a script (``"http_429:2"``); None for all that a good client lives through at once.
    :param any_id: an unknown id becomes a job at its first fetch, instead of ``Request not found``.
    :param models: ids of the models that exist.
    :param sleeping_models: more ids, of models that must be reloaded first, else ``model_not_found``.
    :param reload_time: how long that takes.
    :param wrong_key_http: HTTP status of ``Invalid Api Key``.
    :param spam_filter: refuse an identical submit, as the service of 2023 did.
    :param spam_seconds: how long after the last one it is refused.
    :param first_id: the first request id given.
    """

    seed: int = 0
    run_time: float | tuple[float, float] = (2.0, 8.0)
    max_parallel: int | None = None
    max_queued: int | None = None
    queue_retry_after: float = 30
    plan_limit: int | None = None
    eta_error: float = 1.0
    speed: float = 1.0
    fault_rate: float = 0.0
    faults: tuple[str, ...] | None = None
    any_id: bool = False
    models: tuple[str, ...] = MODELS
    sleeping_models: tuple[str, ...] = ()
    reload_time: float = 120.0
    wrong_key_http: int = 200
    spam_filter: bool = False
    spam_seconds: float = 30.0
    first_id: int = 13443927

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError("speed is above 0.")
        if min(self.reload_time, self.queue_retry_after, self.spam_seconds) < 0:
            raise ValueError("reload_time, queue_retry_after and spam_seconds are at least 0 seconds.")
        if not 0 <= self.fault_rate <= 1:
            raise ValueError("fault_rate is a share from 0 to 1.")
        Script(self.random_faults)  # raises for a fault that does not exist

    @property
    def random_faults(self) -> tuple[str, ...]:
        """The faults that may come at random."""
        return self.faults or TRANSIENT
