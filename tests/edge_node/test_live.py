"""Who is woken when: first bytes and other edges at once, whoever plays already for several chunks together."""

from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from edge_node.coalescing import Outcome
from edge_node.holding import Holding
from edge_node.live import REST_S, Live
from edge_node.metrics import EdgeMetrics
from edge_node.reader import Reader
from reprise.chunks import CHUNK_BYTES
from reprise.manifests import Manifest
from tests.edge_node.stores import Song, make_song, open_store

FILL = 1


class Owner:
    """Starts no fill: the test is the fill. Time passes when the test says so."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []
        # Of each listener who came to wait: whether for another's fill.
        self.waits: list[bool] = []

    def start_fill(self, live: Live, fill_id: int, hops: int) -> str:
        assert fill_id == FILL
        return "leader"

    def start_task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        raise AssertionError(f"{name}: nothing here is on disk")

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        assert delay_s == REST_S
        self.later.append(call)

    def rest_is_over(self) -> None:
        later, self.later = self.later, []
        for call in later:
            call()

    def enter(self, manifest: Manifest) -> Holding:
        raise AssertionError("the manifest is known")

    def may_discover(self) -> bool:
        return False

    async def discover(self, rendition_id: str) -> Holding | None:
        return None

    def first_wait(self, rendition_id: str, *, follows: bool) -> None:
        self.waits.append(follows)

    def unused(self, live: Live) -> None:
        """The test keeps it."""


class Story:
    """One song that a fill brings, and its listeners by name."""

    def __init__(self, live: Live, song: Song, owner: Owner) -> None:
        self.owner = owner
        self.live = live
        self.woken: list[str] = []
        self._song = song
        self._metrics = EdgeMetrics(CollectorRegistry(), lambda: 0, lambda: 0, lambda: 0)
        self._next = 0

    def listener(self, hops: int = 0) -> Reader:
        return Reader(self.live, "relay" if hops else "http", 0, hops, self._metrics, lambda _: None)

    def wants(self, name: str, reader: Reader, chunk: int) -> None:
        reader.want(chunk, lambda: self.woken.append(name))

    def plays(self, reader: Reader) -> int:
        """Takes all that is here; returns the chunk it waits for next."""
        position = 0
        while run := reader.run(position, len(self._song.data)):
            position += run.length
        return position // CHUNK_BYTES

    def chunk_arrives(self) -> None:
        self.live.arrived(FILL, self._song.chunk(self._next))
        self._next += 1

    def takes_woken(self) -> list[str]:
        woken, self.woken = self.woken, []
        return woken


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    song, owner = make_song(8), Owner()
    async with open_store(tmp_path) as store:
        live = Live(song.rendition_id, owner, store.entry(song.manifest))
        yield Story(live, song, owner)
        live.release()


async def test_who_has_something_to_play_is_woken_once_for_what_came_meanwhile(story: Story) -> None:
    ann = story.listener()
    story.wants("ann", ann, 0)
    story.chunk_arrives()
    assert story.takes_woken() == ["ann"]
    story.wants("ann", ann, story.plays(ann))
    story.chunk_arrives()
    story.chunk_arrives()
    assert story.takes_woken() == []
    assert story.live.waiting == 1
    story.owner.rest_is_over()
    assert story.takes_woken() == ["ann"]
    assert story.plays(ann) == 3


async def test_a_first_byte_never_waits_for_the_rest_of_others(story: Story) -> None:
    ann, bob = story.listener(), story.listener()
    story.wants("ann", ann, 0)
    story.chunk_arrives()
    story.wants("ann", ann, story.plays(ann))
    story.wants("bob", bob, 1)
    story.takes_woken()
    story.chunk_arrives()
    assert story.takes_woken() == ["bob"]


async def test_another_edge_is_woken_by_every_chunk_and_first(story: Story) -> None:
    ann, edge = story.listener(), story.listener(hops=1)
    story.wants("ann", ann, 0)
    story.wants("edge", edge, 0)
    story.chunk_arrives()
    assert story.takes_woken() == ["edge", "ann"]
    for _ in range(2):
        story.wants("edge", edge, story.plays(edge))
        story.chunk_arrives()
        assert story.takes_woken() == ["edge"]


async def test_a_slow_source_makes_nobody_wait_longer(story: Story) -> None:
    ann = story.listener()
    for chunk in range(3):
        story.wants("ann", ann, chunk)
        story.chunk_arrives()
        assert story.takes_woken() == ["ann"]
        story.plays(ann)
        story.owner.rest_is_over()


async def test_the_end_of_a_fill_ends_the_rest(story: Story) -> None:
    ann = story.listener()
    story.wants("ann", ann, 0)
    story.chunk_arrives()
    story.wants("ann", ann, story.plays(ann))
    story.chunk_arrives()
    story.takes_woken()
    story.live.ended(FILL, Outcome.UNREACHABLE, "no source has the bytes now")
    assert story.takes_woken() == ["ann"]
    assert story.plays(ann) == 2


async def test_a_listener_who_left_is_not_woken_by_the_end_of_the_rest(story: Story) -> None:
    ann = story.listener()
    story.wants("ann", ann, 0)
    story.chunk_arrives()
    story.wants("ann", ann, story.plays(ann))
    story.chunk_arrives()
    story.takes_woken()
    ann.close()
    assert story.live.waiting == 0
    story.owner.rest_is_over()
    assert story.takes_woken() == []
