"""How far a balancer may believe its own eyes. Pure.

Most edges failing at once, or the own loop running late, is more likely a fault of the observer than of all it observes
(Lifeguard, Dadgar et al. 2018). Then `membership` declares nobody dead for a while, and edges are given more time to speak.
Listeners are still answered, from what is known, and health stays "serving": when a zone is lost every balancer doubts, and
were all of them taken out for it, nobody could listen.
"""

from collections.abc import Collection

# If this process did not run for that long, silence in that time says nothing about edges.
OWN_PAUSE_S_MAX = 1.0
# A loop this late answers nobody in time, so it misjudges a probe as well.
LAG_S_MAX = 0.2
LAG_KEPT_S = 5.0
# Reports that wait in a late loop wait for each other: a lag is felt this many times over.
PATIENCE_PER_LAG = 5.0
PATIENCE_S_MAX = 2.0

EDGES_MIN = 5
SHARE = 0.3


class SelfDoubt:
    """One balancer's doubts, from how late it runs and how many edges seem to fail."""

    def __init__(self, now: float) -> None:
        self._ticked_at = now
        self._lag_s = 0.0
        self._lag_at = now

    @property
    def patience_s(self) -> float:
        """How much longer than usual edges may take for anything."""
        return min(PATIENCE_S_MAX, PATIENCE_PER_LAG * self._lag_s)

    def tick(self, now: float, lag_s: float) -> float:
        """Called as often as edges are looked at, with how late that was; returns how long this process was deaf."""
        pause, self._ticked_at = now - self._ticked_at, now
        if lag_s >= self._lag_s or now - self._lag_at >= LAG_KEPT_S:
            self._lag_s, self._lag_at = lag_s, now
        return pause if pause > OWN_PAUSE_S_MAX else 0.0

    def doubts(self, failing: Collection[bool]) -> bool:
        """Whether a failure is not to be believed now; `failing` says of each edge whether it seems to fail."""
        return self._lag_s >= LAG_S_MAX or (len(failing) >= EDGES_MIN and sum(failing) > SHARE * len(failing))
