# SPDX-License-Identifier: Apache-2.0
"""How fast a connection may send: its ``requests_per_second``, and less while the service asks for less.

No clock, no sleep: whoever sends brings the time, in seconds of any clock that does not go back.
"""

from __future__ import annotations

from collections import deque

LONGEST_SPACING = 1.0
"""Slowest pace (seconds between two requests) that is learned; what the service asks for comes on top."""
SHORTEST_SPACING = 0.001
"""A learned pace faster than this is no limit any more."""
RECOVERY = 60.0
"""Seconds of good answers in which a learned pace doubles its speed."""
_RECENT, _RECENTLY = 20, 10.0
"""Requests from which the present speed is read at most, and for how many seconds they tell of it."""


class Pace:
    """
    Even spacing of requests.

    The service tells nobody its limits, so they are learned: a refusal for load halves the speed at which
    it came, good answers bring it back slowly, and what ``Retry-After`` asks for holds everybody.

    :param per_second: requests a second; None: no limit but what is learned.
    """

    def __init__(self, per_second: float | None = None) -> None:
        self._least = 1.0 / per_second if per_second else 0.0
        self._spacing = self._least
        self._next = self._slowed_at = self._recovered_at = float("-inf")
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def delay(self, now: float) -> float:
        """Seconds until somebody may send."""
        return max(self._next - now, 0.0)

    def take(self, now: float) -> float:
        """Take the right to send now and return 0.0; or return the seconds after which to ask again."""
        if delay := self.delay(now):
            return delay
        self._next = now + self._spacing
        self._recent.append(now)
        return 0.0

    def slow_down(self, now: float, *, sent_at: float, hold: float = 0.0) -> None:
        """
        Learn from a refusal for load.

        :param sent_at: when the refused request was sent: of those under way together only one counts.
        :param hold: seconds for which the service asked everybody to wait.
        """
        recent = [when for when in self._recent if when > now - _RECENTLY]
        if sent_at > self._slowed_at and recent:
            present = max(self._spacing, (now - recent[0]) / len(recent), SHORTEST_SPACING)
            self._spacing = max(min(2.0 * present, LONGEST_SPACING), self._least)
            self._slowed_at = self._recovered_at = now
        self._next = max(self._next, now + max(hold, self._spacing))

    def speed_up(self, now: float) -> None:
        """Learn from a good answer: a little faster, never faster than the connection says."""
        if self._spacing <= self._least:
            return
        good = min(max(now - self._recovered_at, 0.0), RECOVERY / 12)  # an idle hour proves nothing
        self._recovered_at = now
        faster = self._spacing * 0.5 ** (good / RECOVERY)
        self._spacing = self._least if faster < SHORTEST_SPACING else max(faster, self._least)
