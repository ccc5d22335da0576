# SPDX-License-Identifier: Apache-2.0
"""How long to wait before the next look at a request that is well.

Without an ``eta``: ``poke_interval``, as in any sensor of Airflow. With one, looks are put where the request
can become ready. An eta errs by about :data:`ERROR` both ways, so hardly a look comes before eta / 2; from
there to twice the eta, looks are the closer the shorter the eta; after that it was wrong and counts no more.

Why the square root: the chance to become ready within the next second goes like 1 / eta, and looks that cost
something are best spaced like one over the root of that chance. It ends at a whole ``poke_interval``, so that
no eta makes looks rarer than the user wanted them. ``benchmarks/pacing.py`` simulates it.
"""

from __future__ import annotations

from math import inf, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_dreambooth.api.polling import PollPolicy

MAX_ETA = 960.0
"""Longest estimate (seconds) that is believed; etas up to 960 were seen, and they err both ways."""
ERROR = 2.0
"""The factor by which an eta is taken to err."""
LONG_ETA = 80.0
"""From this eta (seconds) on looks are a whole ``poke_interval`` apart; below it less, by the square root."""
CLOSEST = 0.6
"""The least that a short eta makes of a ``poke_interval``."""
FURTHEST = 12.0
"""The longest wait for eta / 2, in poke_intervals, as an eta may also be too long by any factor."""


def first_delay(eta: float | None, policy: PollPolicy) -> float:
    """Seconds before the first look: none without an eta, as the request may have been ready for long."""
    return interval(eta, policy, waited=0.0, looks=0) if eta else 0.0


def interval(eta: float | None, policy: PollPolicy, *, waited: float, looks: int) -> float:
    """
    Seconds to the next look at a request that is not ready.

    :param eta: seconds from the beginning of the wait to readiness, as the service estimated them.
    :param waited: seconds since the wait began.
    :param looks: how many looks found nothing so far.
    """
    poke = policy.poke_interval
    if policy.exponential_backoff and looks:
        delay = poke * 2.0 ** min(looks - 1, 32)
        return delay if policy.max_wait is None else min(delay, policy.max_wait)
    eta = min(eta or 0.0, MAX_ETA)
    earliest, latest = eta / ERROR, eta * ERROR
    if waited >= latest:
        return poke
    step = poke * min(max(sqrt(eta / LONG_ETA), CLOSEST), 1.0)
    if not looks:  # the first look comes at twice the eta at the latest
        step = min(step, latest - earliest)
    # Doubling begins with the first look, so that one must not come early.
    furthest = inf if policy.exponential_backoff else poke * FURTHEST
    return max(step, min(earliest + step - waited, furthest))
