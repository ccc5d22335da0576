# SPDX-License-Identifier: Apache-2.0
"""How long to wait before the next look at a request that is well.

Without an ``eta``: ``poke_interval``, as with any sensor of Airflow. With one, looks are put where the request can
become ready. An eta errs by up to :data:`ERROR` both ways, so it is hardly looked at before eta / 2; from there to
2 × eta, looks come closer the shorter the eta is; and after that the eta was wrong and counts no more.

The law is a square root because the best interval is: a request is as likely to become ready in the next second as
1 / eta says, and looks that cost something are best spaced like one over the root of that. It is cut off at a whole
``poke_interval``, so that an eta never makes a look late. ``benchmarks/pacing.py`` simulates it.
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
"""From this eta on (seconds) looks are a whole ``poke_interval`` apart, below it less: by the square root."""
CLOSEST = 0.5
"""The shortest interval that an eta makes, in poke_intervals."""
FURTHEST = 20.0
"""The longest wait for an eta / 2, in poke_intervals: an eta may be too long by any factor."""


def first_delay(eta: float | None, policy: PollPolicy) -> float:
    """Seconds before the first look: none without an estimate, as what is waited for may be long ready."""
    return interval(eta, policy, waited=0.0, looks=0) if eta else 0.0


def interval(eta: float | None, policy: PollPolicy, *, waited: float, looks: int) -> float:
    """
    Seconds to the next look at a request that is not ready.

    :param eta: seconds from the beginning of the wait, as the service estimated them.
    :param waited: seconds since waiting began.
    :param looks: how many looks found nothing so far.
    """
    if policy.exponential_backoff and looks:
        delay = policy.poke_interval * 2.0 ** min(looks - 1, 32)
        return delay if policy.max_wait is None else min(delay, policy.max_wait)
    eta = min(eta or 0.0, MAX_ETA)
    if waited >= eta * ERROR:
        return policy.poke_interval
    step = policy.poke_interval * min(max(sqrt(eta / LONG_ETA), CLOSEST), 1.0)
    # Whoever wants fewer requests gets no early look: it would only begin the doubling early.
    furthest = inf if policy.exponential_backoff else policy.poke_interval * FURTHEST
    return max(step, min(eta / ERROR + step - waited, furthest))
