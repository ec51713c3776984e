"""What the balancer remembers of songs."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from balancer.metrics import BalancerMetrics
from balancer.songs import FETCHES_MAX, KNOWN_TTL_S, PAUSE_S, UNKNOWN_TTL_S, Announced, Renditions, Songs
from reprise.errors import Unavailable
from tests.balancer.values import AAC, OPUS, OTHER_SONG, SONG, UNKNOWN_SONG


class Catalog:
    """Answers when `open` is set, from `known`, or fails while `down`."""

    def __init__(self) -> None:
        self.known: dict[str, Renditions] = {SONG: (OPUS,), OTHER_SONG: (AAC,)}
        self.asked: list[list[str]] = []
        self.down = False
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, song_ids: Sequence[str]) -> dict[str, Renditions]:
        self.asked.append(list(song_ids))
        await self.open.wait()
        if self.down:
            raise Unavailable("the catalog is away")
        return {song_id: self.known[song_id] for song_id in song_ids if song_id in self.known}


class Remembering:
    """Songs over that catalog, with a clock that a test moves."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.now = 1000.0
        self.registry = CollectorRegistry()
        self.songs = Songs(self.catalog.fetch, BalancerMetrics(self.registry), lambda: self.now)

    def count(self, result: str) -> float:
        return self.registry.get_sample_value("reprise_balancer_catalog_lookups_total", {"result": result}) or 0.0


@pytest.fixture
async def remembering() -> Remembering:
    return Remembering()


async def test_a_known_song_is_asked_for_once_in_five_minutes(remembering: Remembering) -> None:
    for _ in range(3):
        assert await remembering.songs.renditions([SONG]) == {SONG: (OPUS,)}
    assert remembering.catalog.asked == [[SONG]]
    remembering.now += KNOWN_TTL_S
    remembering.catalog.known[SONG] = (OPUS, AAC)
    assert await remembering.songs.renditions([SONG]) == {SONG: (OPUS, AAC)}


async def test_an_unknown_song_is_asked_for_again_after_two_seconds(remembering: Remembering) -> None:
    assert await remembering.songs.renditions([UNKNOWN_SONG, SONG]) == {UNKNOWN_SONG: (), SONG: (OPUS,)}
    assert await remembering.songs.renditions([UNKNOWN_SONG]) == {UNKNOWN_SONG: ()}
    assert len(remembering.catalog.asked) == 1
    remembering.now += UNKNOWN_TTL_S
    remembering.catalog.known[UNKNOWN_SONG] = (AAC,)
    assert await remembering.songs.renditions([UNKNOWN_SONG]) == {UNKNOWN_SONG: (AAC,)}


async def test_all_who_ask_at_once_share_one_question_per_song(remembering: Remembering) -> None:
    remembering.catalog.open.clear()
    one = asyncio.create_task(remembering.songs.renditions([SONG]))
    both = asyncio.create_task(remembering.songs.renditions([SONG, OTHER_SONG]))
    await asyncio.sleep(0)
    remembering.catalog.open.set()
    assert await one == {SONG: (OPUS,)}
    assert await both == {SONG: (OPUS,), OTHER_SONG: (AAC,)}
    assert remembering.catalog.asked == [[SONG], [OTHER_SONG]]
    assert remembering.count("shared") == 1


async def test_whoever_asked_first_may_leave_without_the_others(remembering: Remembering) -> None:
    remembering.catalog.open.clear()
    first = asyncio.create_task(remembering.songs.renditions([SONG]))
    second = asyncio.create_task(remembering.songs.renditions([SONG]))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    remembering.catalog.open.set()
    assert await second == {SONG: (OPUS,)}
    assert remembering.catalog.asked == [[SONG]]


async def test_while_the_catalog_is_away_old_answers_serve_and_one_question_a_second_waits(
    remembering: Remembering,
) -> None:
    await remembering.songs.renditions([SONG])
    remembering.now += KNOWN_TTL_S
    remembering.catalog.down = True
    for _ in range(5):
        assert await remembering.songs.renditions([SONG]) == {SONG: (OPUS,)}
    assert len(remembering.catalog.asked) == 2
    remembering.now += PAUSE_S
    remembering.catalog.down = False
    assert await remembering.songs.renditions([SONG]) == {SONG: (OPUS,)}
    assert len(remembering.catalog.asked) == 3
    assert remembering.count("stale") == 5


async def test_a_song_never_heard_of_needs_the_catalog(remembering: Remembering) -> None:
    remembering.catalog.down = True
    with pytest.raises(Unavailable, match=f"song {SONG} is not remembered here.*the catalog is away"):
        await remembering.songs.renditions([SONG])
    remembering.catalog.down = False
    assert await remembering.songs.renditions([SONG]) == {SONG: (OPUS,)}


async def test_a_withdrawn_song_is_not_brought_back_by_an_outage(remembering: Remembering) -> None:
    await remembering.songs.renditions([SONG])
    remembering.now += KNOWN_TTL_S
    del remembering.catalog.known[SONG]
    assert await remembering.songs.renditions([SONG]) == {SONG: ()}
    remembering.now += UNKNOWN_TTL_S
    remembering.catalog.down = True
    with pytest.raises(Unavailable):
        await remembering.songs.renditions([SONG])


async def test_questions_under_way_are_bounded(remembering: Remembering) -> None:
    remembering.catalog.open.clear()
    asking = [asyncio.create_task(remembering.songs.renditions([f"song-{n}"])) for n in range(FETCHES_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match=f"{FETCHES_MAX} questions to the catalog are open"):
        await remembering.songs.renditions([SONG])
    assert remembering.count("refused") == 1
    remembering.catalog.open.set()
    await asyncio.gather(*asking)
    assert await remembering.songs.renditions([SONG]) == {SONG: (OPUS,)}


async def test_a_song_of_the_calendar_is_known_at_its_moment_though_it_was_unknown_a_moment_before(
    remembering: Remembering,
) -> None:
    remembering.songs.announce({UNKNOWN_SONG: Announced(remembering.now + 1.0, (OPUS,))})
    assert await remembering.songs.renditions([UNKNOWN_SONG]) == {UNKNOWN_SONG: ()}
    remembering.now += 1.0
    # By now the calendar does not list it as upcoming any more.
    remembering.songs.announce({})
    assert await remembering.songs.renditions([UNKNOWN_SONG]) == {UNKNOWN_SONG: (OPUS,)}
    assert remembering.catalog.asked == [[UNKNOWN_SONG]]
    assert remembering.count("released") == 1


async def test_a_song_whose_moment_was_moved_is_not_known_at_the_old_one(remembering: Remembering) -> None:
    remembering.songs.announce({UNKNOWN_SONG: Announced(remembering.now + 1.0, (OPUS,))})
    remembering.songs.announce({UNKNOWN_SONG: Announced(remembering.now + 9.0, (OPUS,))})
    remembering.now += 5.0
    assert await remembering.songs.renditions([UNKNOWN_SONG]) == {UNKNOWN_SONG: ()}
    remembering.songs.announce({})
    remembering.now += 5.0
    assert await remembering.songs.renditions([UNKNOWN_SONG]) == {UNKNOWN_SONG: ()}
