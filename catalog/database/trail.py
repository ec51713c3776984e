"""How far standbys are behind, by one clock: where the primary was, and when it was seen there. Pure.

A standby's own account of its lag knows neither that it lost its primary nor that their clocks differ.
"""

from bisect import bisect_right
from collections import deque
from math import inf

from catalog.database.positions import Position


class Trail:
    """Where the primary was during the last `kept_s` seconds."""

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._timeline = 0
        self._seen: deque[tuple[float, int]] = deque()

    def restart(self) -> None:
        """Standbys count again once they are where the primary is seen next."""
        self._seen.clear()

    def note(self, now: float, primary: Position) -> bool:
        """The primary was at this place. Whether a new trail begins: at a promotion, or when its log went back."""
        if primary.timeline != self._timeline or (self._seen and primary.lsn < self._seen[-1][1]):
            self._seen.clear()
        self._timeline = primary.timeline
        self._seen.append((now, primary.lsn))
        while len(self._seen) > 1 and self._seen[1][0] < now - self._kept_s:
            self._seen.popleft()
        return len(self._seen) == 1

    def lag_s(self, now: float, standby: Position) -> float:
        """Seconds since the primary left the place where the standby is; infinite when that was before the trail."""
        if not self._seen or standby.timeline > self._timeline:
            return 0.0
        if standby.timeline < self._timeline or standby.lsn < self._seen[0][1]:
            return inf
        passed = bisect_right(self._seen, standby.lsn, key=lambda seen: seen[1])
        return now - self._seen[passed][0] if passed < len(self._seen) else 0.0
