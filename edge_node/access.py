"""Checks grants at the door. A verified grant is remembered until it expires, so a song's many ranges cost one verification."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Self

from cachetools import LRUCache
from prometheus_client import CollectorRegistry, Gauge

from edge_node.sessions import Sessions
from reprise import grants
from reprise.errors import Forbidden, QuotaExceeded
from reprise.grants import Claims

VERIFIED_MAX = 50_000
# Players open a second connection to seek or to probe; more than a few at once is not one listener.
STREAMS_PER_GRANT_MAX = 8
SEEN_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Admitted:
    """A stream that counts against its grant until `release` is called, or its context ends."""

    claims: Claims
    release: Callable[[], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Gate:
    """Grants of one edge. Verifies with the edge's own key, so it can accept only what was minted for this edge."""

    def __init__(self, edge_id: str, key: bytes, sessions: Sessions, registry: CollectorRegistry) -> None:
        self._edge_id = edge_id
        self._key = key
        self._sessions = sessions
        self._verified: LRUCache[tuple[str, str], Claims] = LRUCache(VERIFIED_MAX)
        self._streams: Counter[str] = Counter()
        # Of the edge's other processes, by grant.
        self.elsewhere: dict[str, int] = {}
        # Told of each stream that begins (1) or ends (-1).
        self.on_stream: Callable[[str, int], None] = lambda _grant_id, _change: None
        self._seen: list[str] = []
        size = Gauge("reprise_edge_verified_grants", "Grants remembered as verified", registry=registry)
        size.set_function(lambda: len(self._verified))

    def listen(self, grant: str, song_id: str, rendition_id: str) -> Admitted:
        """Admits a listener. Raises Unauthenticated, Forbidden (another song), QuotaExceeded (too many at once)."""
        claims = self._check(grant, "listen")
        if not grants.allows(claims, song_id, rendition_id):
            raise Forbidden(f"this grant is for song {claims.song_id}, not for {song_id[:64]}/{rendition_id[:64]}")
        if self._streams[claims.grant_id] + self.elsewhere.get(claims.grant_id, 0) >= STREAMS_PER_GRANT_MAX:
            raise QuotaExceeded(f"a grant allows {STREAMS_PER_GRANT_MAX} streams at once", retry_after_s=1)
        self._streams[claims.grant_id] += 1
        self._sessions.begin(claims.grant_id, rendition_id, claims.bitrate_bps, time.monotonic())
        self.on_stream(claims.grant_id, 1)
        return Admitted(claims, lambda: self._release(claims.grant_id))

    def relay(self, grant: str) -> Claims:
        """Admits another edge. Raises Unauthenticated, Forbidden."""
        return self._check(grant, "relay")

    def count_elsewhere(self, grants_streams: Mapping[str, int]) -> None:
        """How many streams of these grants the edge's other processes serve now."""
        for grant_id, streams in grants_streams.items():
            if streams:
                self.elsewhere[grant_id] = streams
            else:
                self.elsewhere.pop(grant_id, None)

    def see(self, grant_ids: Iterable[str]) -> None:
        """Grants that another process of the edge saw for the first time."""
        self._seen.extend(islice(grant_ids, SEEN_MAX - len(self._seen)))

    def take_seen(self) -> list[str]:
        """Ids of listen grants that came for the first time since the last call."""
        seen, self._seen = self._seen, []
        return seen

    def _check(self, grant: str, scope: str) -> Claims:
        now = time.time()
        claims = self._verified.get((grant, scope))
        if claims is not None and claims.expires_unix_s + grants.CLOCK_LEEWAY_S > now:
            return claims
        key_of = {self._edge_id: self._key}.get
        claims = grants.verify(grant, key_of, now, audience=self._edge_id, scope=scope)
        self._verified[grant, scope] = claims
        if scope == "listen" and len(self._seen) < SEEN_MAX:
            self._seen.append(claims.grant_id)
        return claims

    def _release(self, grant_id: str) -> None:
        self._sessions.end(grant_id, time.monotonic())
        self._streams[grant_id] -= 1
        if self._streams[grant_id] <= 0:
            del self._streams[grant_id]
        self.on_stream(grant_id, -1)
