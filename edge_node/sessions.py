"""Who listens to what at this moment. Pure.

A player that reads a song by ranges has no stream open between two of them, and one that is answered from RAM has none at all.
It will come back all the same, and what it plays at is spoken for. So listeners are counted by *session*: what one grant plays,
from its first request until no stream of it is open and no request came for SESSION_S.

Invariants: a session counts once, however many streams it has in however many processes; `committed_bps` is the sum of `live`,
and that of the bitrates of all sessions; there are at most `sessions_max`, and whoever comes then is served but not counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from edge_node.heat import FadingCounts

# Two segments of ten seconds: a player that plays on has asked again by then.
SESSION_S = 20.0
SESSIONS_MAX = 50_000
PAST_COUNTERS_MAX = 256
SETTLED_AT_ONCE_MAX = 2_000


@dataclass(slots=True, eq=False)
class Session:
    """What one grant plays. It lasts until `until`, and for as long as a stream is open."""

    grant_id: str
    rendition_id: str
    bitrate_bps: int
    until: float
    streams: int = 0


class Sessions:
    """See the module. Bitrates of sessions that are over fade in `past`."""

    def __init__(self, sessions_max: int = SESSIONS_MAX) -> None:
        self.committed_bps = 0
        # Bits per second by rendition.
        self.live: dict[str, int] = {}
        self.past = FadingCounts(PAST_COUNTERS_MAX)
        # Requests that found no room for a session of theirs.
        self.uncounted = 0
        # Told what a grant plays from now on, (rendition, bits per second), or None when its session is over.
        self.on_change: Callable[[str, tuple[str, int] | None], None] = lambda _grant_id, _plays: None
        self._sessions_max = sessions_max
        self._by_grant: dict[str, Session] = {}
        # When to look at a session next; one entry for each, found out late when it has moved.
        self._due: list[tuple[float, int, Session]] = []
        self._number = count()

    def __len__(self) -> int:
        return len(self._by_grant)

    def touch(self, grant_id: str, rendition_id: str, bitrate_bps: int, now: float) -> Session | None:
        """A request that leaves no stream open; returns its session, None when there is no room. Called for each of many."""
        session = self._by_grant.get(grant_id)
        if session is None:
            return self._start(Session(grant_id, rendition_id, bitrate_bps, now + SESSION_S), now)
        session.until = now + SESSION_S
        if session.rendition_id != rendition_id:
            self._switch(session, rendition_id, bitrate_bps, now)
        return session

    def begin(self, grant_id: str, rendition_id: str, bitrate_bps: int, now: float) -> None:
        """A stream begins, or a process says that it has this session."""
        session = self.touch(grant_id, rendition_id, bitrate_bps, now)
        if session is not None:
            session.streams += 1

    def end(self, grant_id: str, now: float) -> None:
        """A stream has ended; its listener may come back."""
        session = self._by_grant.get(grant_id)
        if session is not None:
            session.streams = max(0, session.streams - 1)
            session.until = now + SESSION_S

    def leave(self, grant_id: str, now: float) -> None:
        """A process has this session no more, because it is over there or the process is gone."""
        session = self._by_grant.get(grant_id)
        if session is not None:
            session.streams = max(0, session.streams - 1)
            if not session.streams and session.until <= now:
                self._finish(session, now)

    def settle(self, now: float) -> None:
        """Ends the sessions whose time is over; call it often. A crowd that leaves takes a few calls: none takes long."""
        for _ in range(SETTLED_AT_ONCE_MAX):
            if not self._due or self._due[0][0] > now:
                break
            _, _, session = heappop(self._due)
            if self._by_grant.get(session.grant_id) is not session:
                continue
            if session.streams or session.until > now:
                self._look_again(session, now + SESSION_S if session.streams else session.until)
            else:
                self._finish(session, now)

    def _start(self, session: Session, now: float) -> Session | None:
        if len(self._by_grant) >= self._sessions_max:
            self.settle(now)
            if len(self._by_grant) >= self._sessions_max:
                self.uncounted += 1
                return None
        self._by_grant[session.grant_id] = session
        self._look_again(session, session.until)
        self._count(session, 1)
        self.on_change(session.grant_id, (session.rendition_id, session.bitrate_bps))
        return session

    def _switch(self, session: Session, rendition_id: str, bitrate_bps: int, now: float) -> None:
        self._count(session, -1)
        self.past.add(session.rendition_id, session.bitrate_bps, now)
        session.rendition_id, session.bitrate_bps = rendition_id, bitrate_bps
        self._count(session, 1)
        self.on_change(session.grant_id, (rendition_id, bitrate_bps))

    def _finish(self, session: Session, now: float) -> None:
        del self._by_grant[session.grant_id]
        self._count(session, -1)
        self.past.add(session.rendition_id, session.bitrate_bps, now)
        self.on_change(session.grant_id, None)

    def _count(self, session: Session, sign: int) -> None:
        bps = self.live.get(session.rendition_id, 0) + sign * session.bitrate_bps
        self.committed_bps += sign * session.bitrate_bps
        if bps:
            self.live[session.rendition_id] = bps
        else:
            self.live.pop(session.rendition_id, None)

    def _look_again(self, session: Session, at: float) -> None:
        heappush(self._due, (at, next(self._number), session))
