"""Grants that were given out and that no report includes yet. Pure.

Reports are up to a second old; without this, everyone who asks within that second would be sent to the same idle edge.

Invariants: a grant counts at most once and on one edge; it stops counting at the first of: its edge reports it seen, its edge
restarts, its time is over, the ledger is full and it is the oldest. It never counts again after that, whatever arrives later.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

# A listener who has not come by then went elsewhere; a report would have said so within two.
TTL_S = 5.0
# The first seconds of a stream are sent faster than real time.
START_BURST = 4
ENTRIES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Pending:
    """What one edge still has to expect."""

    bps: int = 0
    grants: int = 0


NOTHING = Pending()


class Ledger:
    """Pending grants by edge."""

    def __init__(self, ttl_s: float = TTL_S, entries_max: int = ENTRIES_MAX) -> None:
        self._ttl_s = ttl_s
        self._entries_max = entries_max
        self._bps: dict[str, dict[str, int]] = {}
        self._pending: dict[str, Pending] = {}
        # In order of expiry, because all live equally long. Entries that were retired stay here until then.
        self._expiry: deque[tuple[float, str, str]] = deque()

    def of(self, edge_id: str) -> Pending:
        return self._pending.get(edge_id, NOTHING)

    @property
    def grants(self) -> int:
        """Pending grants in all."""
        return sum(len(grants) for grants in self._bps.values())

    def add(self, edge_id: str, grant_id: str, bitrate_bps: int, now: float) -> None:
        """Counts a grant that was just minted: its id is new. `now` never goes back."""
        if len(self._expiry) >= self._entries_max:
            _, old_edge_id, old_grant_id = self._expiry.popleft()
            self.retire(old_edge_id, (old_grant_id,))
        bps = bitrate_bps * START_BURST
        self._bps.setdefault(edge_id, {})[grant_id] = bps
        self._shift(edge_id, bps, 1)
        self._expiry.append((now + self._ttl_s, edge_id, grant_id))

    def retire(self, edge_id: str, grant_ids: Iterable[str]) -> None:
        """Stops counting these grants of this edge; unknown ones are no news."""
        grants = self._bps.get(edge_id)
        if not grants:
            return
        for grant_id in grant_ids:
            bps = grants.pop(grant_id, None)
            if bps is not None:
                self._shift(edge_id, -bps, -1)

    def clear(self, edge_id: str) -> None:
        """Stops counting everything on an edge that restarted or died."""
        self._bps.pop(edge_id, None)
        self._pending.pop(edge_id, None)

    def expire(self, now: float) -> set[str]:
        """Retires what is too old; returns the edges that this changed."""
        changed: set[str] = set()
        while self._expiry and self._expiry[0][0] <= now:
            _, edge_id, grant_id = self._expiry.popleft()
            if grant_id in self._bps.get(edge_id, ()):
                self.retire(edge_id, (grant_id,))
                changed.add(edge_id)
        return changed

    def _shift(self, edge_id: str, bps: int, grants: int) -> None:
        old = self.of(edge_id)
        self._pending[edge_id] = Pending(old.bps + bps, old.grants + grants)
