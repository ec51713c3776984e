"""What every search engine must do alike: Tantivy, and OpenSearch by its HTTP contract (a fake cluster, not a live one)."""

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from opensearchpy import AsyncOpenSearch, OpenSearch

from catalog import query
from catalog.indexer.opensearch import OpenSearchTarget
from catalog.model import EntityKind
from catalog.searching.backend import Ask, Filters, Found, Place, SearchIndex, Tier
from catalog.searching.documents import Entry
from catalog.searching.opensearch_index import OpenSearchIndex
from catalog.searching.tantivy_index import TantivyIndex
from catalog.searching.tantivy_writer import TantivyWriter
from reprise.errors import Conflict, Unavailable
from tests.support import fake_opensearch

NOW_MS = 1_800_000_000_000
ARTIST, OTHER, GENRE = (uuid.UUID(int=number) for number in (101, 102, 103))


def song(number: int, title: str, artist: str = "Somebody", **fields: Any) -> Entry:
    return Entry(kind=EntityKind.SONG, id=uuid.UUID(int=number), title=title, artists=(artist,), **fields)


class Engine(Protocol):
    """An index to write and to read."""

    async def put(self, *entries: Entry, gone: tuple[int, ...] = ()) -> None: ...

    async def find(self, text: str, count: int = 20, after: Place | None = None, **filters: Any) -> Found: ...


@dataclass
class _Reading:
    index: SearchIndex

    async def find(self, text: str, count: int = 20, after: Place | None = None, **filters: Any) -> Found:
        return await self.index.find(Ask(query.parse(text), NOW_MS, Filters(**filters)), count, after)


class Tantivy(_Reading):
    def __init__(self, path: Path) -> None:
        self._writer, self._path = TantivyWriter(path), path
        self.index: TantivyIndex = TantivyIndex()

    async def put(self, *entries: Entry, gone: tuple[int, ...] = ()) -> None:
        self._writer.apply(entries, [(EntityKind.SONG, uuid.UUID(int=number)) for number in gone])
        self._writer.commit("1-1/1/1")
        self.index.reload(self._path)

    async def close(self) -> None:
        self._writer.close()
        self.index.close()


class Cluster(_Reading):
    def __init__(self, url: str) -> None:
        self._client = OpenSearch(hosts=[url], max_retries=0)
        self._searching = AsyncOpenSearch(hosts=[url], max_retries=0)
        self._target = OpenSearchTarget(self._client, "songs-1-1")
        self.index: OpenSearchIndex = OpenSearchIndex(self._searching, "songs-1-1")

    async def put(self, *entries: Entry, gone: tuple[int, ...] = ()) -> None:
        generation = await self._target.take_over() or await self._target.begin()
        await generation.apply(entries, [(EntityKind.SONG, uuid.UUID(int=number)) for number in gone])
        await generation.commit("1-1/1/1")
        await self._target.publish(generation)
        await generation.close()

    async def close(self) -> None:
        self._client.close()
        await self._searching.close()


@pytest.fixture
def cluster() -> Iterator[tuple[fake_opensearch.Cluster, str]]:
    with fake_opensearch.running() as running:
        yield running


@pytest.fixture(params=["tantivy", "opensearch"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    if request.param == "tantivy":
        chosen: Tantivy | Cluster = Tantivy(tmp_path)
    else:
        chosen = Cluster(request.getfixturevalue("cluster")[1])
    yield chosen
    await chosen.close()


def ids(found: Found) -> list[int]:
    return [hit.id.int for hit in found.hits]


async def test_tiers_come_in_their_order_and_the_popular_first_within_one(engine: Engine) -> None:
    await engine.put(
        song(1, "Elephant Walk", score=9.0),
        song(2, "Elephant"),
        song(3, "Elephant", score=2.0),
        song(4, "Tame the Elephant"),
        song(5, "Circus", album="Elephant"),
        song(6, "Unrelated"),
        song(7, "Trunk", "Elephant"),
    )
    found = await engine.find("elephant")
    assert ids(found) == [3, 2, 7, 1, 4, 5]
    assert [hit.place.tier for hit in found.hits] == [
        Tier.EXACT_TITLE, Tier.EXACT_TITLE, Tier.EXACT_NAME, Tier.PREFIX, Tier.WORDS, Tier.MENTION
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["hello goodbyr", "helo goodbye", "hlelo goodbye", "goodbye hello", "hellogoodbye", "beatles hello"]
)
async def test_what_was_meant_is_found(engine: Engine, text: str) -> None:
    await engine.put(song(1, "Hello Goodbye", "The Beatles"), song(2, "Yesterday", "The Beatles"))
    assert ids(await engine.find(text)) == [1]


async def test_pages_go_on_where_the_one_before_ended(engine: Engine) -> None:
    await engine.put(*(song(number, "Echo" if number % 3 else "Echo Beach", score=number) for number in range(1, 31)))
    seen: list[int] = []
    place = None
    while len((found := await engine.find("echo", 7, place)).hits) > 0:
        seen += ids(found)
        place = found.hits[-1].place
        assert place.shown == len(seen)
    whole = ids(await engine.find("echo", 100))
    assert seen == whole
    assert len(seen) == 30


async def test_filters_narrow_and_what_is_to_come_is_not_found(engine: Engine) -> None:
    await engine.put(
        song(1, "Tide", artist_ids=(ARTIST,), genre_ids=(GENRE,), year=1999),
        song(2, "Tide", artist_ids=(OTHER,), year=2005),
        song(3, "Tide", available_from_ms=NOW_MS + 1),
        song(4, "Tide", available_from_ms=NOW_MS),
    )
    assert set(ids(await engine.find("tide"))) == {1, 2, 4}
    assert ids(await engine.find("tide", artist_id=ARTIST)) == [1]
    assert ids(await engine.find("tide", genre_id=GENRE)) == [1]
    assert ids(await engine.find("tide", year_from=2000)) == [2]
    assert ids(await engine.find("tide", year_to=2000)) == [1]
    assert ids(await engine.find("tide", year_from=1999, year_to=2005, artist_id=OTHER)) == [2]


async def test_an_entry_takes_the_place_of_the_one_before_and_what_is_gone_is_not_found(engine: Engine) -> None:
    await engine.put(song(1, "Draft"), song(2, "Blunder"))
    await engine.put(song(1, "Final"), gone=(2, 77))
    assert ids(await engine.find("draft")) == []
    assert ids(await engine.find("final")) == [1]
    assert ids(await engine.find("blunder")) == []


async def test_the_first_page_has_artists_and_releases(engine: Engine) -> None:
    artist = Entry(kind=EntityKind.ARTIST, id=ARTIST, title="Portishead")
    release = Entry(kind=EntityKind.RELEASE, id=OTHER, title="Portishead", artists=("Portishead",))
    await engine.put(song(1, "Roads", "Portishead"), artist, release)
    found = await engine.find("portishead", 1)
    assert (found.artists, found.releases, ids(found)) == ((ARTIST,), (OTHER,), [1])
    further = await engine.find("portishead", 1, found.hits[-1].place)
    assert (further.artists, further.releases) == ((), ())


async def test_other_scripts_and_joined_forms_are_found(engine: Engine) -> None:
    await engine.put(song(1, "T.N.T.", "AC/DC"), song(2, "群青日和", "東京事変"), song(3, "Jóga", "Björk"))
    for text, number in (("tnt", 1), ("acdc", 1), ("ac dc tnt", 1), ("東京", 2), ("群青", 2), ("joga bjork", 3)):
        assert ids(await engine.find(text)) == [number], text


# OpenSearch alone


async def test_a_superseded_indexer_can_neither_commit_nor_move_the_alias(
    cluster: tuple[fake_opensearch.Cluster, str],
) -> None:
    client = OpenSearch(hosts=[cluster[1]], max_retries=0)
    old, new = OpenSearchTarget(client, "songs-1-1"), OpenSearchTarget(client, "songs-1-1")
    first = await old.begin()
    await first.commit("1-1/1/1")
    await old.publish(first)
    taken = await new.take_over()
    assert taken is not None
    assert taken.checkpoint == "1-1/1/1"
    await taken.apply([song(1, "Newest")], ())
    await taken.commit("1-1/2/2")
    await first.apply([song(1, "Outdated")], ())
    with pytest.raises(Conflict):
        await first.commit("1-1/3/3")
    rebuilt = await old.begin()
    await rebuilt.commit("1-1/3/3")
    with pytest.raises(Conflict):
        await old.publish(rebuilt)
    await new.tidy()
    assert {name for name in cluster[0].indexes if "state" not in name} == {taken.name}
    searching = AsyncOpenSearch(hosts=[cluster[1]], max_retries=0)
    index = _Reading(OpenSearchIndex(searching, "songs-1-1"))
    assert ids(await index.find("newest")) == [1]
    assert ids(await index.find("outdated")) == []
    await searching.close()
    for generation in (first, taken, rebuilt):
        await generation.close()
    client.close()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_cluster_that_fails_is_unavailable_never_empty(
    cluster: tuple[fake_opensearch.Cluster, str], status: int
) -> None:
    searching = AsyncOpenSearch(hosts=[cluster[1]], max_retries=0)
    index = _Reading(OpenSearchIndex(searching, "songs-1-1"))
    with pytest.raises(Unavailable):
        await index.find("anything")
    cluster[0].down = status
    with pytest.raises(Unavailable):
        await index.find("anything")
    await searching.close()
