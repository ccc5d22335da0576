# SPDX-License-Identifier: Apache-2.0
"""A model of the service's jobs, and what waiting for them costs: the pure poller driven by a virtual clock.

Two figures count: requests per job, and overshoot, the seconds from readiness to the look that notices it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from airflow_provider_dreambooth.api.pacing import first_delay
from airflow_provider_dreambooth.api.polling import Poll, PollPolicy, Sleep
from airflow_provider_dreambooth.api.replies import Pending

MEDIAN, PERCENTILE_95 = 30.0, 180.0
"""Of the run time (seconds), which is log-normal."""
PENDING = Pending()


@dataclass(frozen=True)
class Job:
    """One queued request: when it is ready and when it said it would be, in seconds of waiting."""

    request_id: str
    ready: float
    eta: float


@dataclass(frozen=True)
class Figures:
    """What waiting for some jobs came to, per job."""

    requests: float
    overshoot: float
    late: float
    """The overshoot's 95th percentile."""


@dataclass(frozen=True)
class Model:
    """
    How jobs run and what is told of them.

    :param queue: mean seconds in the queue before the run, exponential.
    :param foresees_queue: whether the eta counts from the submit to readiness, or is of the run alone.
    :param error: the eta is wrong by a factor between 1 / error and error.
    :param even: that factor is uniform; else its logarithm is.
    :param late: seconds from the submit to the beginning of the wait.
    """

    queue: float = 5.0
    foresees_queue: bool = True
    error: float = 2.0
    even: bool = True
    late: float = 0.0

    def jobs(self, count: int, seed: int) -> list[Job]:
        """Make jobs; the same ones for the same seed."""
        dice = random.Random(seed)
        sigma = math.log(PERCENTILE_95 / MEDIAN) / 1.6448536
        made = []
        for number in range(count):
            run = MEDIAN * math.exp(sigma * dice.gauss())
            queued = dice.expovariate(1 / self.queue) if self.queue else 0.0
            wrong = dice.uniform(1 / self.error, self.error)
            if not self.even:
                wrong = self.error ** dice.uniform(-1, 1)
            eta = (run + queued * self.foresees_queue) * wrong
            made.append(Job(str(number), max(queued + run - self.late, 0.0), eta))
        return made


def ours(jobs: Iterable[Job], policy: PollPolicy, *, told: bool = True) -> Figures:
    """Wait for each job as this provider does; ``told`` says whether its eta is known."""
    return _figures(_wait(job, policy, job.eta if told else None) for job in jobs)


def _wait(job: Job, policy: PollPolicy, eta: float | None) -> tuple[int, float]:
    poll = Poll(job.request_id, eta=eta)
    now, looks = first_delay(eta, policy), 1
    while now < job.ready:
        decision = poll.decide(PENDING, now, policy=policy, began=0.0, deadline=math.inf)
        assert isinstance(decision, Sleep)
        now += decision.seconds
        looks += 1
    return looks, now - job.ready


def fixed(jobs: Iterable[Job], interval: float, *, at_once: bool = False) -> Figures:
    """
    Wait for each job with a fixed interval.

    :param at_once: look at the beginning too, as sensors of Airflow do, not only after one interval.
    """
    counts = ((max(math.ceil(job.ready / interval), not at_once), job.ready) for job in jobs)
    return _figures((count + at_once, count * interval - ready) for count, ready in counts)


def overshoot_of_fixed(jobs: Sequence[Job], requests: float) -> float:
    """Tell the mean overshoot of the fixed interval that makes so many requests per job."""
    return _longest(jobs, lambda found: found[0] > requests)[1]


def requests_of_fixed(jobs: Sequence[Job], overshoot: float) -> float:
    """Tell the requests per job of the fixed interval that has this mean overshoot."""
    return _longest(jobs, lambda found: found[1] < overshoot)[0]


def _longest(jobs: Sequence[Job], keep: Callable[[tuple[float, float]], bool]) -> tuple[float, float]:
    """Tell requests and overshoot at the longest fixed interval that is still to be kept."""
    ready = [max(job.ready, 1e-9) for job in jobs]  # one that is ready at once takes a look, too
    mean = fmean(ready)
    shortest, longest = 0.05, 5000.0
    found = (0.0, 0.0)
    while longest / shortest > 1.0005:
        interval = math.sqrt(shortest * longest)
        looks = sum(math.ceil(each / interval) for each in ready) / len(ready)
        found = looks, looks * interval - mean
        if keep(found):
            shortest = interval
        else:
            longest = interval
    return found


def _figures(waits: Iterable[tuple[int, float]]) -> Figures:
    looks, overshoots = zip(*waits, strict=True)
    return Figures(fmean(looks), fmean(overshoots), sorted(overshoots)[int(len(overshoots) * 0.95)])
