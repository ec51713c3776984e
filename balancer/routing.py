"""Routes: for each song the rendition that fits, the edges that should serve it, and a grant for each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from balancer.edges import EdgeIdentity
from balancer.geography.nearness import Geography, Nearness
from balancer.geography.probes import Probe, Probes
from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from balancer.minting import Mint, Minted
from balancer.picking import CANDIDATES_MAX, Pick, Play, Reason
from balancer.renditions import choose
from balancer.songs import Songs
from balancer.want import Want
from reprise import tracing
from reprise.errors import NotFound, QuotaExceeded, Unavailable
from reprise.types.v1.types_pb2 import Rendition

# Streams end all the time; a full mesh is worth a second look after this long.
FULL_RETRY_S = 2.0
NO_EDGE_RETRY_S = 1.0
# A listener asks the next candidate too when nothing came for this many times the estimate, but not sooner than this.
HEDGE_FACTOR = 3
HEDGE_MS_MIN = 300


@dataclass(frozen=True, slots=True)
class Candidate:
    """One edge to try, and the grant for it."""

    edge: EdgeIdentity
    grant: str
    media_url: str
    expires_unix_ms: int
    reason: Reason
    hedge_after_ms: int


@dataclass(frozen=True, slots=True)
class SongRoute:
    """Where one song is to be had, best first."""

    song_id: str
    rendition: Rendition
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Routed:
    """The answer to a Want. Songs without a rendition that fits count as unknown."""

    routes: tuple[SongRoute, ...]
    unknown_song_ids: tuple[str, ...]
    session_id: str
    # Where the listener can measure how near regions are; none where it told.
    probes: tuple[Probe, ...]


class Router:
    """Answers Wants. The only await is for songs that the catalog has to be asked about."""

    def __init__(
        self,
        mesh: Mesh,
        songs: Songs,
        mint: Mint,
        geography: Geography,
        metrics: BalancerMetrics,
        *,
        clock: Callable[[], float],
        new_session_id: Callable[[], str],
    ) -> None:
        self._mesh = mesh
        self._songs = songs
        self._mint = mint
        self._geography = geography
        self._probes = Probes(mesh)
        # What `labels` finds, found faster: there are as many as the code names.
        self._count = lru_cache(maxsize=64)(metrics.decisions.labels)
        self._count_evidence = lru_cache(maxsize=16)(metrics.geography.evidence.labels)
        self._clock = clock
        self._new_session_id = new_session_id

    async def route(self, want: Want) -> Routed:
        """Raises NotFound when no song can be routed, QuotaExceeded when all edges are full, Unavailable when none lives."""
        with tracing.span("balancer.route", songs=len(want.song_ids)):
            renditions = await self._songs.renditions(want.song_ids)
            chosen = {s: choose(renditions[s], want.codecs, want.bitrate_bps_max) for s in want.song_ids}
            session_id = want.session_id or self._new_session_id()
            nearness = self._nearness(want)
            routes = [self._song(s, r, session_id, want, nearness) for s, r in chosen.items() if r is not None]
        unknown = [song_id for song_id, rendition in chosen.items() if rendition is None]
        if unknown:
            self._count("unknown_song").inc(len(unknown))
        if not routes:
            raise NotFound(f"no rendition that fits for {', '.join(unknown[:3])}: unknown song, codec or bit rate")
        probes = () if want.region_rtts else self._probes.near(nearness, session_id)
        return Routed(tuple(routes), tuple(unknown), session_id, probes)

    def _nearness(self, want: Want) -> Nearness:
        nearness = self._geography.regions(want.region, want.region_rtts, want.address, self._clock())
        self._count_evidence(nearness.evidence).inc()
        return nearness

    def _song(self, song_id: str, rendition: Rendition, session_id: str, want: Want, nearness: Nearness) -> SongRoute:
        now = self._clock()
        play = Play(
            rendition_id=rendition.rendition_id,
            bitrate_bps=rendition.bitrate_bps,
            regions=nearness.regions,
            session_id=session_id,
            failed=want.failed_edge_ids,
            warm=want.warm_edge_ids,
        )
        picks = self._mesh.pick(play, now)
        stays = self._mesh.keeps(want.playing_edge_id)
        if stays:
            picks = _behind(Pick(want.playing_edge_id, Reason.STAYS, 0.0), picks)
        if not picks:
            self._refuse()
        self._count(picks[0].reason).inc()
        minted = [
            self._mint.listen(pick.edge_id, session_id, song_id, rendition.rendition_id, rendition.bitrate_bps)
            for pick in picks
        ]
        if not stays:  # else the edge's reports count the listener already
            first = picks[0].edge_id
            self._mesh.assign(first, rendition.rendition_id, minted[0].grant_id, rendition.bitrate_bps, now)
        return SongRoute(song_id, rendition, self._candidates(picks, minted, f"{song_id}/{rendition.rendition_id}"))

    def _candidates(self, picks: Sequence[Pick], minted: Sequence[Minted], path: str) -> tuple[Candidate, ...]:
        candidates = []
        for pick, signed in zip(picks, minted, strict=True):
            edge = self._mesh.edge(pick.edge_id).identity
            url = f"{edge.http_url}/p/{signed.grant}/{path}"
            hedge_after_ms = max(HEDGE_MS_MIN, int(HEDGE_FACTOR * pick.start_ms))
            candidates.append(
                Candidate(edge, signed.grant, url, signed.expires_unix_s * 1000, pick.reason, hedge_after_ms)
            )
        return tuple(candidates)

    def _refuse(self) -> None:
        if self._mesh.vouched_count:
            self._count("full").inc()
            raise QuotaExceeded("every edge is full: try again in a moment", retry_after_s=FULL_RETRY_S)
        self._count("no_edge").inc()
        raise Unavailable("no edge is alive: start one, or try another balancer", retry_after_s=NO_EDGE_RETRY_S)


def _behind(first: Pick, picks: Sequence[Pick]) -> list[Pick]:
    """`first`, and the best of the others."""
    return [first, *(pick for pick in picks if pick.edge_id != first.edge_id)][:CANDIDATES_MAX]
