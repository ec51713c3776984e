"""What the catalog says about songs, remembered: the balancer's only question to another service on the routing path.

One fetch per song at a time, owned by this cache and not by whoever asked first, so that a caller who gives up takes nobody
with it. While the catalog does not answer, what was known before is used, and only one question a second waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from cachetools import LRUCache, TTLCache

from balancer.metrics import BalancerMetrics
from reprise.errors import RepriseError, Unavailable
from reprise.log import get_logger
from reprise.types.v1.types_pb2 import Rendition

log = get_logger()

Renditions = tuple[Rendition, ...]
# Asks the catalog for songs; those it does not know are left out. Raises RepriseError.
Fetch = Callable[[Sequence[str]], Awaitable[dict[str, Renditions]]]


@dataclass(frozen=True, slots=True)
class Announced:
    """A song that comes out at `at`, of the same clock as all here."""

    at: float
    renditions: Renditions


Outcome = dict[str, Renditions] | RepriseError

SONGS_MAX = 200_000
UNKNOWN_MAX = 20_000
KNOWN_TTL_S = 300.0
# Short, because a song may be published a moment after someone asked.
UNKNOWN_TTL_S = 2.0
# After a failure nobody waits for the catalog for this long if an old answer will do.
PAUSE_S = 1.0
FETCHES_MAX = 256


class Songs:
    """Renditions by song id; an unknown song has none."""

    def __init__(self, fetch: Fetch, metrics: BalancerMetrics, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._lookups = metrics.catalog_lookups
        self._clock = clock
        self._fresh: TTLCache[str, Renditions] = TTLCache(SONGS_MAX, KNOWN_TTL_S, clock)
        self._unknown: TTLCache[str, Renditions] = TTLCache(UNKNOWN_MAX, UNKNOWN_TTL_S, clock)
        self._old: LRUCache[str, Renditions] = LRUCache(SONGS_MAX)
        self._announced: dict[str, Announced] = {}
        self._under_way: dict[str, asyncio.Task[Outcome]] = {}
        self._fetches: set[asyncio.Task[Outcome]] = set()
        self._failed_at = -PAUSE_S
        self._lost = False

    def announce(self, upcoming: Mapping[str, Announced]) -> None:
        """What will come out: from its moment on it is known, without a question or what was remembered of it before.

        Until then the catalog is asked as ever, because a release may come out early.
        """
        now = self._clock()
        # What came out a moment ago is no longer upcoming, and may still be remembered as unknown.
        recent = {song_id: a for song_id, a in self._announced.items() if now - 2 * UNKNOWN_TTL_S < a.at <= now}
        self._announced = {**recent, **upcoming}

    def forget(self, rendition_ids: Collection[str]) -> None:
        """Asks the catalog anew for songs of these renditions: they may be taken down. While it is away they stay known."""
        gone = set(rendition_ids)
        for song_id in [s for s, known in self._fresh.items() if any(one.rendition_id in gone for one in known)]:
            del self._fresh[song_id]
        for song_id in [s for s, a in self._announced.items() if any(one.rendition_id in gone for one in a.renditions)]:
            del self._announced[song_id]

    async def renditions(self, song_ids: Sequence[str]) -> dict[str, Renditions]:
        """The renditions of each song; raises Unavailable when the catalog is needed and does not answer."""
        answers = {song_id: known for song_id in song_ids if (known := self._recall(song_id)) is not None}
        missing = [song_id for song_id in song_ids if song_id not in answers]
        if missing:
            fetches = self._ask(missing)
            if fetches:
                await asyncio.wait(set(fetches.values()))
            answers |= {song_id: self._conclude(song_id, fetches.get(song_id)) for song_id in missing}
        return answers

    def _recall(self, song_id: str) -> Renditions | None:
        """What needs no question; None when the catalog should be asked."""
        if song_id in self._fresh:
            return self._count("hit", self._fresh[song_id])
        announced = self._announced.get(song_id)
        if announced is not None and announced.at <= self._clock():
            self._unknown.pop(song_id, None)
            self._fresh[song_id] = self._old[song_id] = announced.renditions
            return self._count("released", announced.renditions)
        if song_id in self._unknown:
            return self._count("unknown", ())
        if song_id in self._old and self._clock() - self._failed_at < PAUSE_S:
            return self._count("stale", self._old[song_id])
        return None

    def _ask(self, song_ids: Sequence[str]) -> dict[str, asyncio.Task[Outcome]]:
        """The fetches that will bring these songs, one started for those that none will bring yet, if there is room."""
        new = [song_id for song_id in song_ids if song_id not in self._under_way]
        self._lookups.labels("shared").inc(len(song_ids) - len(new))
        if new and len(self._fetches) < FETCHES_MAX:
            task = asyncio.create_task(self._bring(new), name="catalog.songs")
            self._fetches.add(task)
            task.add_done_callback(self._fetches.discard)
            self._under_way.update(dict.fromkeys(new, task))
        return {song_id: self._under_way[song_id] for song_id in song_ids if song_id in self._under_way}

    async def _bring(self, song_ids: Sequence[str]) -> Outcome:
        try:
            found = await self._fetch(song_ids)
        except RepriseError as error:
            self._note_failure(error)
            return error
        finally:
            for song_id in song_ids:
                del self._under_way[song_id]
        self._remember(song_ids, found)
        return found

    def _note_failure(self, error: RepriseError) -> None:
        self._failed_at = self._clock()
        if not self._lost:
            log.warning("catalog_lost", error=error.message)
        self._lost = True

    def _remember(self, song_ids: Sequence[str], found: dict[str, Renditions]) -> None:
        if self._lost:
            log.info("catalog_back")
        self._lost = False
        for song_id in song_ids:
            if song_id in found:
                self._fresh[song_id] = self._old[song_id] = found[song_id]
            else:
                self._unknown[song_id] = ()
                self._old.pop(song_id, None)

    def _conclude(self, song_id: str, fetch: asyncio.Task[Outcome] | None) -> Renditions:
        """The answer after the wait: what came, else what was known before."""
        outcome = fetch.result() if fetch else Unavailable(f"{FETCHES_MAX} questions to the catalog are open already")
        if not isinstance(outcome, RepriseError):
            return self._count("fetched", outcome.get(song_id, ()))
        if song_id in self._old:
            return self._count("stale", self._old[song_id])
        self._lookups.labels("failed" if fetch else "refused").inc()
        raise Unavailable(f"song {song_id} is not remembered here and cannot be looked up: {outcome}", retry_after_s=1)

    def _count(self, result: str, renditions: Renditions) -> Renditions:
        self._lookups.labels(result).inc()
        return renditions
