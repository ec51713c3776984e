"""Which edges are kept from listeners because plays fail there, whatever else the edges say of themselves. Pure.

What listeners meet outranks what an edge reports: one that answers every probe and fails every play looks healthy and, because
failing is little work, idle (a sinkhole; Prequal, NSDI 2024). An edge is ejected, for 30 s times the number of its ejections,
when of the last ten seconds both hold (after Envoy's outlier detection):

    enough failures    in at least five listeners' sessions, or twenty by the edge's own count
    out of the usual   their share is over a tenth, and far over the median of the region's other edges: a catalog or an origin
                       that is down fails plays everywhere, and that is no edge's fault

Invariants: a session counts once per edge, however much it reports, so no single listener's word ejects anybody; at most a
fifth of a region's serving edges are ejected (one of three or four, none of two); more failures never end an ejection, nor
does a load report, a probe or a new boot of the edge: it ends by itself, and is forgotten step by step while plays succeed.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

WINDOW_S = 10.0
FAILED_SESSIONS_MIN = 5
# The edge does not tell whose plays fail: one listener who tries again and again must not be enough.
OWN_FAILURES_MIN = 20
SHARE_MIN = 0.1
MEDIAN_FACTOR = 3.0
EJECTED_S = 30.0
EJECTED_S_MAX = 300.0
EJECTED_SHARE_MAX = 0.2
# From three edges on one may be ejected, though it is more than a fifth.
ONE_FROM_EDGES = 3
FORGIVEN_EVERY_S = 30.0
# Sessions remembered for each edge: those heard last.
SESSIONS_MAX = 256
# How often those who failed somebody are judged.
JUDGED_EVERY_S = 0.5


@dataclass(slots=True)
class _Session:
    heard_at: float
    failed_at: float | None = None


@dataclass(slots=True)
class _Edge:
    region: str
    # Last heard last.
    sessions: OrderedDict[str, _Session] = field(default_factory=OrderedDict)
    # (time, started, failed), by the edge's own count.
    counts: deque[tuple[float, int, int]] = field(default_factory=deque)
    times_ejected: int = 0
    until: float = 0.0
    forgiven_at: float = 0.0


def cap(edges: int) -> int:
    """How many of so many serving edges of a region may be ejected at once."""
    return max(int(EJECTED_SHARE_MAX * edges), int(edges >= ONE_FROM_EDGES))


class Ejections:
    """The edges of all regions. An edge is known from `serves` until `forget`."""

    def __init__(self) -> None:
        # Released before their time since the last tick.
        self._freed: list[str] = []
        # Who failed somebody since the last judgement.
        self._accused: set[str] = set()
        self._judged_at = 0.0
        self._edges: dict[str, _Edge] = {}
        # Region -> the edges that would serve if nobody was ejected.
        self._serving: dict[str, set[str]] = {}
        # Region -> the serving edges of it that are ejected.
        self._ejected: dict[str, set[str]] = {}

    def serves(self, edge_id: str, region: str, *, serving: bool, now: float) -> None:
        """Whether an edge may take listeners but for its ejection, to be said after every change of it."""
        edge = self._edges.get(edge_id)
        if edge is None or edge.region != region:
            self.forget(edge_id)
            edge = self._edges[edge_id] = _Edge(region)
        members, ejected = self._serving.setdefault(region, set()), self._ejected.setdefault(region, set())
        if not serving:
            members.discard(edge_id)
            ejected.discard(edge_id)
            self._release(region)
            return
        members.add(edge_id)
        if edge.until > now and len(ejected) < cap(len(members)):
            ejected.add(edge_id)  # it was away, which is no excuse

    def forget(self, edge_id: str) -> None:
        """The edge is gone for good."""
        edge = self._edges.get(edge_id)
        if edge is not None:
            self.serves(edge_id, edge.region, serving=False, now=0.0)
            del self._edges[edge_id]

    def note_play(self, edge_id: str, session_id: str, *, ok: bool, now: float) -> None:
        """What a listener says of a play on an edge."""
        edge = self._edges.get(edge_id)
        if edge is None:
            return
        session = edge.sessions.setdefault(session_id, _Session(now))
        session.heard_at = now
        edge.sessions.move_to_end(session_id)
        if len(edge.sessions) > SESSIONS_MAX:
            edge.sessions.popitem(last=False)
        if ok:
            _forgive(edge, now)
        else:
            session.failed_at = now
            self._accused.add(edge_id)

    def note_counts(self, edge_id: str, started: int, failed: int, now: float) -> None:
        """What an edge says of its own plays since it last did."""
        edge = self._edges.get(edge_id)
        if edge is None or not started + failed:
            return
        edge.counts.append((now, started, failed))
        _drop_old(edge, now)
        if failed:
            self._accused.add(edge_id)

    def until(self, edge_id: str, now: float) -> float:
        """When the edge's ejection ends; 0 when it is not ejected."""
        edge = self._edges.get(edge_id)
        if edge is None or edge.until <= now or edge_id not in self._ejected.get(edge.region, ()):
            return 0.0
        return edge.until

    def tick(self, now: float) -> list[str]:
        """Ends ejections that are over and judges who failed somebody; returns the edges that this changed."""
        over = [edge for ejected in self._ejected.values() for edge in ejected if self._edges[edge].until <= now]
        for edge_id in over:
            self._ejected[self._edges[edge_id].region].discard(edge_id)
        over, self._freed = over + self._freed, []
        if not self._accused or now - self._judged_at < JUDGED_EVERY_S:
            return over
        self._judged_at = now
        accused, self._accused = self._accused & self._edges.keys(), set()
        worst_first = sorted(accused, key=lambda edge_id: (-_share(self._edges[edge_id], now), edge_id))
        return over + [edge_id for edge_id in worst_first if self._judge(edge_id, now)]

    def count(self) -> int:
        """Edges that are ejected."""
        return sum(len(ejected) for ejected in self._ejected.values())

    def _judge(self, edge_id: str, now: float) -> bool:
        edge = self._edges[edge_id]
        ejected = self._ejected.setdefault(edge.region, set())
        serving = self._serving.get(edge.region, set())
        if edge_id in ejected or edge_id not in serving or len(ejected) >= cap(len(serving)):
            return False
        share = _share(edge, now)
        others = [_share(self._edges[other], now, least=1) for other in serving - ejected - {edge_id}]
        if share <= max(SHARE_MIN, _unusual(others)):
            return False
        edge.times_ejected += 1
        edge.until = edge.forgiven_at = now + min(EJECTED_S_MAX, EJECTED_S * edge.times_ejected)
        # What it was ejected for counts once: when it is back, it is judged by what happens then.
        edge.sessions.clear()
        edge.counts.clear()
        ejected.add(edge_id)
        return True

    def _release(self, region: str) -> None:
        """Of fewer serving edges fewer may be ejected: frees those who would be free first."""
        ejected = self._ejected[region]
        excess = len(ejected) - cap(len(self._serving[region]))
        for edge_id in sorted(ejected, key=lambda edge_id: (self._edges[edge_id].until, edge_id))[: max(0, excess)]:
            ejected.discard(edge_id)
            self._edges[edge_id].until = 0.0
            self._freed.append(edge_id)


def _share(edge: _Edge, now: float, least: int = 0) -> float:
    """The share of plays that failed lately, by listeners' sessions or by the edge's own count, whichever is worse.

    0 where fewer failed than it takes to eject an edge, or than `least`.
    """
    _drop_old(edge, now)
    since = now - WINDOW_S
    failed = sum(s.failed_at is not None and s.failed_at > since for s in edge.sessions.values())
    own_failed = sum(count for _, _, count in edge.counts)
    own_plays = own_failed + sum(count for _, count, _ in edge.counts)
    return max(
        failed / len(edge.sessions) if failed >= (least or FAILED_SESSIONS_MIN) else 0.0,
        own_failed / own_plays if own_failed >= (least or OWN_FAILURES_MIN) else 0.0,
    )


def _drop_old(edge: _Edge, now: float) -> None:
    since = now - WINDOW_S
    while edge.sessions and next(iter(edge.sessions.values())).heard_at <= since:
        edge.sessions.popitem(last=False)
    while edge.counts and edge.counts[0][0] <= since:
        edge.counts.popleft()


def _unusual(shares: list[float]) -> float:
    """The share of failures above which an edge stands out from these: three times their median, where that is no nonsense."""
    usual = sorted(shares)[len(shares) // 2] if shares else 0.0  # of an even number the worse of the two
    return min(MEDIAN_FACTOR * usual, (1 + usual) / 2)


def _forgive(edge: _Edge, now: float) -> None:
    """One ejection is forgotten for each half minute after the last one in which a play succeeds."""
    if edge.times_ejected and now - edge.forgiven_at >= FORGIVEN_EVERY_S:
        edge.times_ejected -= 1
        edge.forgiven_at = now
