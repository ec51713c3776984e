"""Grants that were given out and that no report includes yet. Pure.

Reports are up to a second old; without this, everyone who asks within that second would be sent to the same idle edge.

What is pending here is only this balancer's own doing. Two numbers, learned from the same reports, turn it into what an edge
has to expect:
    share  of the grants that edges see for the first time, those that were given out here; others came from other balancers,
           which are as many as ours / share and need not be asked (Dahlin 2000: old news is read by its age and rate)
    shown  of the grants given out here, those that an edge saw before their time was over
    expected = pending x shown / share

Invariants: a grant counts at most once and on one edge; it stops counting at the first of: its edge reports it seen, its edge
restarts, its time is over, the ledger is full and it is the oldest. It never counts again after that, whatever arrives later,
but once when its play failed; and a grant reported twice moves neither number twice.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

ENTRIES_MAX = 100_000
# How long a grant is known after it was given out or first seen: as long as a late listener may bring it.
KNOWN_S = 60.0
# Weight of one grant in the two averages.
STEP = 1 / 256
SHARE_MIN = 0.1
SHOWN_MIN = 0.2


@dataclass(frozen=True, slots=True)
class Pending:
    """What this balancer gave out for one edge and has not heard of."""

    bps: float = 0.0
    grants: int = 0


@dataclass(frozen=True, slots=True)
class Expected:
    """What one edge has to expect, all balancers counted: a guess, so streams come in fractions."""

    bps: float = 0.0
    streams: float = 0.0


NOTHING = Pending()


class Ledger:
    """Pending grants by edge."""

    def __init__(self, pending_s: float = 5.0, start_burst: float = 4.0, entries_max: int = ENTRIES_MAX) -> None:
        self._pending_s = pending_s
        self._start_burst = start_burst
        self._entries_max = entries_max
        self._bps: dict[str, dict[str, float]] = {}
        self._pending: dict[str, Pending] = {}
        # In order of expiry, because all live equally long. Entries that were retired stay here until then.
        self._expiry: deque[tuple[float, str, str]] = deque()
        # Grants of the last minute: whether an edge has seen them. Those of others are known from then on.
        self._seen: dict[str, bool] = {}
        self._forgetting: deque[tuple[float, str]] = deque()
        self.share = 1.0
        self.shown = 1.0

    def of(self, edge_id: str) -> Pending:
        return self._pending.get(edge_id, NOTHING)

    def expected(self, edge_id: str) -> Expected:
        pending = self.of(edge_id)
        scale = max(self.shown, SHOWN_MIN) * self.balancers
        return Expected(pending.bps * scale, pending.grants * scale)

    @property
    def balancers(self) -> float:
        """How many balancers of this one's traffic there seem to be."""
        return 1 / max(self.share, SHARE_MIN)

    @property
    def grants(self) -> int:
        """Pending grants in all."""
        return sum(len(grants) for grants in self._bps.values())

    def add(self, edge_id: str, grant_id: str, bitrate_bps: int, now: float) -> None:
        """Counts a grant that was just minted: its id is new. `now` never goes back."""
        if len(self._expiry) >= self._entries_max:
            _, old_edge_id, old_grant_id = self._expiry.popleft()
            self._retire(old_edge_id, old_grant_id)
        bps = bitrate_bps * self._start_burst
        self._bps.setdefault(edge_id, {})[grant_id] = bps
        self._shift(edge_id, bps, 1)
        self._expiry.append((now + self._pending_s, edge_id, grant_id))
        self._know(grant_id, now, seen=False)

    def failed(self, edge_id: str, grant_id: str, bitrate_bps: int, now: float) -> None:
        """The play of a grant failed, as its listener says: counts it, seen or not, so that failing is no way to look idle."""
        bps = bitrate_bps * self._start_burst
        again = f"{grant_id} failed"
        if len(self._expiry) < self._entries_max and again not in self._bps.get(edge_id, {}):
            self._bps.setdefault(edge_id, {})[again] = bps
            self._shift(edge_id, bps, 1)
            self._expiry.append((now + self._pending_s, edge_id, again))

    def saw(self, edge_id: str, grant_ids: Iterable[str], now: float) -> None:
        """An edge reports grants whose streams its figures include."""
        for grant_id in grant_ids:
            if self._retire(edge_id, grant_id):
                self.shown += (1 - self.shown) * STEP
            seen = self._seen.get(grant_id)
            if seen:
                continue
            self.share += ((seen is not None) - self.share) * STEP
            self._know(grant_id, now, seen=True)

    def clear(self, edge_id: str) -> None:
        """Stops counting everything on an edge that restarted or died."""
        self._bps.pop(edge_id, None)
        self._pending.pop(edge_id, None)

    def expire(self, now: float) -> set[str]:
        """Retires what is too old; returns the edges that this changed."""
        changed: set[str] = set()
        while self._expiry and self._expiry[0][0] <= now:
            _, edge_id, grant_id = self._expiry.popleft()
            if self._retire(edge_id, grant_id):
                changed.add(edge_id)
                if grant_id in self._seen:  # not a failed one, which is waited for by nobody
                    self.shown -= self.shown * STEP
        while self._forgetting and self._forgetting[0][0] <= now:
            self._seen.pop(self._forgetting.popleft()[1], None)
        return changed

    def _retire(self, edge_id: str, grant_id: str) -> bool:
        """Whether the grant counted until now."""
        bps = self._bps.get(edge_id, {}).pop(grant_id, None)
        if bps is None:
            return False
        self._shift(edge_id, -bps, -1)
        return True

    def _know(self, grant_id: str, now: float, *, seen: bool) -> None:
        if grant_id not in self._seen:
            if len(self._forgetting) >= self._entries_max:
                self._seen.pop(self._forgetting.popleft()[1], None)
            self._forgetting.append((now + KNOWN_S, grant_id))
        self._seen[grant_id] = seen

    def _shift(self, edge_id: str, bps: float, grants: int) -> None:
        old = self.of(edge_id)
        # Without a grant nothing is pending, whatever a sum of fractions says.
        self._pending[edge_id] = Pending(old.bps + bps, old.grants + grants) if old.grants + grants else NOTHING
