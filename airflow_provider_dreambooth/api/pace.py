# SPDX-License-Identifier: Apache-2.0
"""The connection's ``requests_per_second``, as a reservation of slots: no clock, no sleep."""

from __future__ import annotations


class Pace:
    """
    Even spacing of requests.

    :param per_second: requests a second; None: no limit.
    """

    def __init__(self, per_second: float | None) -> None:
        self._spacing = 1.0 / per_second if per_second else 0.0
        self._next_slot = float("-inf")

    def reserve(self, now: float) -> float:
        """Reserve the next slot and return the seconds from ``now`` (any clock, in seconds) to it."""
        slot = max(now, self._next_slot)
        self._next_slot = slot + self._spacing
        return slot - now
