"""How surprising an edge's silence is, judged by how regularly it spoke before. Pure.

The phi accrual failure detector (Hayashibara, Défago, Yared, Katayama 2004): phi is -log10 of the probability that a report is
later than this, with normally distributed intervals of which the last hundred are remembered. As in Akka a pause is acceptable
on top of the mean, for an edge that is busy with something else.

Only lateness teaches. Reports that come early because there was news are no shorter period, so an interval counts as PERIOD_S
at least; and one long pause is no new rhythm, so it counts as LESSON_S_MAX at most.

Invariants: phi grows with the silence; whatever was heard before, a silence of up to PERIOD_S + PAUSE_S has phi 0, and
5.5 s have more than 5.
"""

import math
from collections import deque

# What edges are told to keep: a report a second, sooner when there is news.
PERIOD_S = 1.0
LESSON_S_MAX = 2.0
PAUSE_S = 1.5
STD_S_MIN = 0.15
INTERVALS_KEPT = 100
# A new edge is judged as if it had kept the period, loosely, this many times.
PRIOR_INTERVALS = 10
PRIOR_STD_S = 0.15


class Phi:
    """The silence of one edge."""

    __slots__ = ("_intervals", "_square_sum", "_sum")

    def __init__(self) -> None:
        prior = (PERIOD_S, PERIOD_S + 2 * PRIOR_STD_S) * (PRIOR_INTERVALS // 2)
        self._intervals = deque(prior, maxlen=INTERVALS_KEPT)
        self._sum = math.fsum(prior)
        self._square_sum = math.fsum(interval * interval for interval in prior)

    def heard(self, interval_s: float) -> None:
        """A report came so long after the one before."""
        interval = min(max(interval_s, PERIOD_S), LESSON_S_MAX)
        if len(self._intervals) == INTERVALS_KEPT:
            oldest = self._intervals[0]
            self._sum -= oldest
            self._square_sum -= oldest * oldest
        self._intervals.append(interval)
        self._sum += interval
        self._square_sum += interval * interval

    def of(self, silence_s: float) -> float:
        """Phi of a silence: 1 is wrong once in ten times, 5 once in 100,000; infinite where floats end."""
        if silence_s <= PERIOD_S + PAUSE_S:
            return 0.0  # most calls are about edges that have just reported
        count = len(self._intervals)
        mean = self._sum / count
        # Clamped because the difference of two running sums drifts.
        std = max(STD_S_MIN, math.sqrt(max(0.0, self._square_sum / count - mean * mean)))
        later = math.erfc((silence_s - mean - PAUSE_S) / (std * math.sqrt(2))) / 2
        return -math.log10(later) if later > 0 else math.inf
