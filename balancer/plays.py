"""What listeners report of their plays: checked, counted once, handed on. Synchronous; no I/O, no clock of its own.

A report is worth as much as the grant in it: only who was given an edge may speak of it, once of a success and once of a
failure. Nothing here decides; `ejection` judges edges, and `on_rtt` learns where listeners are near.

Invariant: whatever is sent, every entry is either taken or dropped with a cause that is counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cachetools import LRUCache

from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from reprise import grants
from reprise.errors import InvalidRequest, QuotaExceeded, RepriseError
from reprise.grants import Claims

ENTRIES_MAX = 50
# Of one session: more than anybody skips.
SESSION_ENTRIES_MAX = 60
SESSION_WINDOW_S = 60.0
SESSIONS_KEPT = 50_000
GRANTS_KEPT = 100_000


class Outcome(StrEnum):
    """How a play went."""

    STARTED = "started"
    CONNECT_FAILED = "connect_failed"
    NO_FIRST_BYTE = "no_first_byte"
    BROKEN = "broken"
    # The edge said that it is full: neither a success nor a fault.
    REFUSED = "refused"


FAILURES = frozenset({Outcome.CONNECT_FAILED, Outcome.NO_FIRST_BYTE, Outcome.BROKEN})


class Drop(StrEnum):
    """Why an entry was not taken."""

    GRANT = "grant"  # malformed, expired, of another mesh or of an edge that is forgotten
    REPEATED = "repeated"
    RATE = "rate"


@dataclass(frozen=True, slots=True)
class PlayReport:
    """One entry; `rtt_ms` is 0 where it is not known."""

    grant: str
    outcome: Outcome
    rtt_ms: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the entries of one call."""

    taken: int
    dropped: int


# (the client's address, the edge's region, round trip in ms, now)
OnRtt = Callable[[str, str, float, float], None]


def learn_nothing(_address: str, _region: str, _rtt_ms: float, _now: float) -> None:
    """For a balancer without geography."""


class Plays:
    """Takes the reports of all listeners."""

    def __init__(
        self,
        mesh: Mesh,
        key_of: Callable[[str], bytes],
        metrics: BalancerMetrics,
        clock: Callable[[], float],
        unix_s: Callable[[], float],
        on_rtt: OnRtt = learn_nothing,
    ) -> None:
        self._mesh = mesh
        self._key_of = key_of
        self._metrics = metrics
        self._clock = clock
        self._unix_s = unix_s
        self._on_rtt = on_rtt
        self._heard: LRUCache[tuple[str, bool], None] = LRUCache(GRANTS_KEPT)
        # Session -> (when its window began, entries since).
        self._windows: LRUCache[str, tuple[float, int]] = LRUCache(SESSIONS_KEPT)

    def take(self, reports: Sequence[PlayReport], client_address: str) -> Taken:
        """Raises InvalidRequest for none or too many, QuotaExceeded when a session's entries came too fast to take any."""
        if not 0 < len(reports) <= ENTRIES_MAX:
            raise InvalidRequest(f"report 1 to {ENTRIES_MAX} plays at once, not {len(reports)}")
        drops = [drop for report in reports if (drop := self._take(report, client_address)) is not None]
        for drop in drops:
            self._metrics.plays_dropped.labels(drop).inc()
        if len(drops) == len(reports) and Drop.RATE in drops:
            raise QuotaExceeded(
                f"a session may report {SESSION_ENTRIES_MAX} plays in {SESSION_WINDOW_S:.0f} s",
                retry_after_s=SESSION_WINDOW_S,
            )
        return Taken(len(reports) - len(drops), len(drops))

    def _take(self, report: PlayReport, client_address: str) -> Drop | None:
        try:
            claims = grants.verify(report.grant, self._key, self._unix_s(), audience=None, scope="listen")
        except RepriseError:
            return Drop.GRANT
        now, failed = self._clock(), report.outcome in FAILURES
        if drop := self._admit(claims, failed, now):
            return drop
        self._metrics.plays.labels(report.outcome).inc()
        if report.outcome is not Outcome.REFUSED:
            self._mesh.note_play(
                claims.audience,
                claims.subject,
                not failed,
                now,
                grant_id=claims.grant_id,
                bitrate_bps=claims.bitrate_bps,
            )
        if report.rtt_ms:
            region = self._mesh.edge(claims.audience).identity.region
            self._on_rtt(client_address, region, report.rtt_ms, now)
        return None

    def _admit(self, claims: Claims, failed: bool, now: float) -> Drop | None:
        """Once of each grant and kind, and not too many of a session."""
        if (claims.grant_id, failed) in self._heard:
            return Drop.REPEATED
        began_at, entries = self._windows.get(claims.subject, (now, 0))
        if now - began_at >= SESSION_WINDOW_S:
            began_at, entries = now, 0
        if entries >= SESSION_ENTRIES_MAX:
            return Drop.RATE
        self._windows[claims.subject] = (began_at, entries + 1)
        self._heard[claims.grant_id, failed] = None
        return None

    def _key(self, kid: str) -> bytes:
        """Only of edges of this mesh, else NotFound: a key is work to derive, and the names of strangers are endless."""
        self._mesh.edge(kid)
        return self._key_of(kid)
