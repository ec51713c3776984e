"""The release calendar as this balancer knows it: has what comes out preheated in time, and lets it out at the moment.

It asks the catalog now and then, and what operators ordered it remembers until its moment. Every balancer does the same; why
that does no harm is said in `preheat_plan`. While the catalog does not answer, what is known stays known.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from balancer import preheat_plan
from balancer.metrics import BalancerMetrics
from balancer.preheat import Preheater
from balancer.preheat_plan import Wish
from balancer.songs import Announced, Renditions, Songs
from reprise.errors import QuotaExceeded, RepriseError
from reprise.log import get_logger

log = get_logger()

HORIZON_S = 3600.0
LOOK_S = 0.5
ORDERS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Release:
    """What comes out at one moment."""

    release_id: str
    title: str
    at_unix_s: float
    songs: Mapping[str, Renditions]


# What comes out up to a moment in Unix seconds. Raises RepriseError.
FetchUpcoming = Callable[[float], Awaitable[list[Release]]]


class Calendar:
    """Releases by id, and operators' orders, each until it was preheated."""

    def __init__(
        self,
        fetch: FetchUpcoming,
        songs: Songs,
        preheater: Preheater,
        metrics: BalancerMetrics,
        clock: Callable[[], float],
        unix_s: Callable[[], float],
        poll_s: float,
    ) -> None:
        self._fetch = fetch
        self._songs = songs
        self._preheater = preheater
        self._clock = clock
        self._unix_s = unix_s
        self._poll_s = poll_s
        self._polled_at = clock()
        self._releases: dict[str, Wish] = {}
        self._orders: dict[str, Wish] = {}
        self._ordered = 0
        # By release, the wish that was begun: a release that moves, or gets another song, is another wish.
        self._begun: dict[str, Wish] = {}
        # What has not begun, and when it has to.
        self._waiting: dict[str, Wish] = {}
        self._begins: dict[str, float] = {}
        self._lost = False
        metrics.calendar_age.set_function(lambda: clock() - self._polled_at)
        metrics.calendar_wishes.set_function(lambda: len(self._waiting))

    def order(self, wish: Wish) -> float:
        """Remembers an operator's wish until it has to begin, which is answered, in Unix seconds; 0 when that is now.

        Then it is not remembered: whoever ordered it carries it out, and has the edges' answers.
        """
        if len(self._orders) >= ORDERS_MAX:
            raise QuotaExceeded(f"{ORDERS_MAX} preheats wait for their moment: wait for some of them", retry_after_s=60)
        self._ordered += 1
        key = f"order {self._ordered}"
        self._orders[key] = wish
        self._schedule()
        begins_unix_s = self._begins[key]
        if begins_unix_s > self._unix_s():
            return begins_unix_s
        del self._orders[key]
        self._schedule()
        return 0.0

    async def run(self) -> None:
        """Until cancelled."""
        poll_at = self._clock()
        async with asyncio.TaskGroup() as group:
            while True:
                if self._clock() >= poll_at:
                    await self._poll()
                    # Several balancers ask at different moments.
                    poll_at = self._clock() + self._poll_s * random.uniform(0.8, 1.2)  # noqa: S311
                for wish in self._take_due():
                    group.create_task(self._preheater.run(wish), name=f"preheat.{wish.name}")
                await asyncio.sleep(min(LOOK_S, self._poll_s))

    async def _poll(self) -> None:
        try:
            releases = await self._fetch(self._unix_s() + HORIZON_S)
        except RepriseError as error:
            if not self._lost:
                log.warning("calendar_lost", error=error.message)
            self._lost = True
            return
        self._lost = False
        self._polled_at = self._clock()
        self._releases = {release.release_id: _wish(release) for release in releases}
        self._begun = {key: wish for key, wish in self._begun.items() if key in self._releases}
        self._schedule()
        ahead_s = self._polled_at - self._unix_s()
        self._songs.announce(
            {
                song_id: Announced(release.at_unix_s + ahead_s, renditions)
                for release in releases
                for song_id, renditions in release.songs.items()
            }
        )

    def _schedule(self) -> None:
        """Plans anew when to begin what has not begun."""
        of_releases = {key: wish for key, wish in self._releases.items() if self._begun.get(key) != wish}
        self._waiting = of_releases | self._orders
        preheater = self._preheater
        self._begins = preheat_plan.begins(self._waiting, preheater.members(), preheater.origin_bps_max)

    def _take_due(self) -> list[Wish]:
        """What is to begin now, marked as begun."""
        due = {key: self._waiting[key] for key in preheat_plan.due(self._begins, self._unix_s())}
        for key, wish in due.items():
            if self._orders.pop(key, None) is None:
                self._begun[key] = wish
        if due:
            self._schedule()
        return list(due.values())


def _wish(release: Release) -> Wish:
    renditions = {r.rendition_id: r for of_song in release.songs.values() for r in of_song}
    return Wish(f"release {release.title!r}", tuple(renditions.values()), release.at_unix_s)
