"""Routes of a list of songs, asked for ahead, so that a list that plays outlives its balancers for a few songs.

A route holds the grants of one listener for one song, which expire; a route held is used only while its grants live, and is
used up when its song begins. A listener that goes on after a failure asks anew (`again`).
"""

from collections.abc import Callable, Sequence

from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceStub
from reprise.cli.balancers import Balancers, Metadata
from reprise.errors import NotFound, RepriseError

DEADLINE_S = 5.0
# Songs after the one that begins. Each is held for a listener who may never come to it, so these are few.
AHEAD = 2
# What is left of a grant's life when its song begins must do for connecting.
MARGIN_MS = 5_000


class Routes:
    """The routes of the songs that one listener plays one after the other."""

    def __init__(
        self, balancers: Balancers, metadata: Metadata, song_ids: Sequence[str], unix_ms: Callable[[], float]
    ) -> None:
        self._balancers = balancers
        self._metadata = metadata
        self._song_ids = tuple(song_ids)
        self._unix_ms = unix_ms
        self._held: dict[str, pb.SongRoute] = {}
        self._session_id = ""

    async def begin(self, index: int) -> pb.SongRoute:
        """The route of the song at `index`, which begins now; brings those of the next songs too, when a balancer answers.

        Raises NotFound, or Unavailable when no balancer answers and none did before.
        """
        song_id = self._song_ids[index]
        wanted = dict.fromkeys(s for s in self._song_ids[index : index + 1 + AHEAD] if not self._is_held(s))
        if wanted:
            try:
                await self._hold(list(wanted))
            except RepriseError:
                # Of songs that are only asked for ahead this is no news yet.
                if song_id in wanted:
                    raise
        if song_id not in self._held:
            raise NotFound(f"song {song_id} has no rendition to play")
        return self._held.pop(song_id)

    async def again(self, song_id: str, failed_edge_ids: tuple[str, ...]) -> pb.SongRoute:
        """A new route for a song under way, the edges that failed ranked last. Raises as `begin`."""
        answer = await self._ask([song_id], failed_edge_ids)
        if not answer.routes:
            raise NotFound(f"song {song_id} has no rendition to play")
        return answer.routes[0]

    async def _hold(self, song_ids: list[str]) -> None:
        self._held.update((route.song_id, route) for route in (await self._ask(song_ids)).routes)

    async def _ask(self, song_ids: list[str], failed_edge_ids: tuple[str, ...] = ()) -> pb.RouteResponse:
        request = pb.RouteRequest(song_ids=song_ids, failed_edge_ids=failed_edge_ids, session_id=self._session_id)
        metadata = await self._metadata()
        answer = await self._balancers.ask(
            lambda channel, timeout_s: BalancerServiceStub(channel).Route(
                request, metadata=metadata, timeout=timeout_s
            ),
            DEADLINE_S,
        )
        self._session_id = answer.session_id
        return answer

    def _is_held(self, song_id: str) -> bool:
        route = self._held.get(song_id)
        return route is not None and all(c.expires_unix_ms > self._unix_ms() + MARGIN_MS for c in route.candidates)
