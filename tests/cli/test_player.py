"""The player delivers each byte once and in order, across edges that fail in every way, and checks what it got."""

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator, Callable

import pytest

from reprise.cli.doors import Wanted
from reprise.cli.failover import Attempt, Candidate
from reprise.cli.player import Player
from reprise.errors import DataCorrupt, NotFound, RepriseError, Unavailable

SONG = random.Random(7).randbytes(10_000)
WANTED = Wanted("song", hashlib.sha256(SONG).hexdigest(), len(SONG))


class Edges:
    """Edges by name; each is a function that yields pieces for an offset, and may raise."""

    def __init__(self, **edges: Callable[[int], AsyncGenerator[bytes, None]]) -> None:
        self._edges = edges
        self.asked: list[tuple[str, int]] = []
        self.rerouted: list[tuple[str, ...]] = []
        self.later: list[list[str]] = []
        self.said: list[str] = []
        # (edge, bytes, whether the first one was timed, what ended it)
        self.told: list[tuple[str, int, bool, str]] = []

    def candidates(self, *names: str) -> list[Candidate]:
        return [Candidate(name, "", "", "", "") for name in names]

    async def door(self, attempt: Attempt, _wanted: Wanted) -> AsyncGenerator[bytes, None]:
        self.asked.append((attempt.candidate.edge_id, attempt.offset))
        async for piece in self._edges[attempt.candidate.edge_id](attempt.offset):
            yield piece

    async def reroute(self, failed: tuple[str, ...]) -> list[Candidate]:
        self.rerouted.append(failed)
        if not self.later:
            raise Unavailable("no balancer answers")
        return self.candidates(*self.later.pop(0))

    def tell(self, attempt: Attempt, delivered: int, first_byte_s: float, error: Exception | None) -> None:
        self.told.append((attempt.candidate.edge_id, delivered, first_byte_s > 0, type(error).__name__))

    async def play(self, *names: str) -> bytes:
        got = bytearray()
        player = Player(
            wanted=WANTED,
            door=self.door,
            reroute=self.reroute,
            sink=got.extend,
            say=self.said.append,
            tell=self.tell,
            stall_s=0.2,
        )
        await player.play(self.candidates(*names))
        return bytes(got)


async def whole(offset: int) -> AsyncGenerator[bytes, None]:
    for start in range(offset, len(SONG), 1000):
        yield SONG[start : start + 1000]


def dies_at(end: int, error: RepriseError | None = None) -> Callable[[int], AsyncGenerator[bytes, None]]:
    async def edge(offset: int) -> AsyncGenerator[bytes, None]:
        if offset < end:
            yield SONG[offset:end]
        if error:
            raise error

    return edge


async def stalls(_offset: int) -> AsyncGenerator[bytes, None]:
    await asyncio.Event().wait()
    yield b""


async def test_a_dead_edge_is_followed_by_the_next_at_the_same_byte() -> None:
    edges = Edges(a=dies_at(4_321, Unavailable("gone")), b=whole)
    assert await edges.play("a", "b") == SONG
    assert edges.asked == [("a", 0), ("b", 4_321)]
    assert edges.said == ["a at byte 4321: gone"]


async def test_how_each_edge_did_is_told() -> None:
    edges = Edges(a=stalls, b=dies_at(4_321, Unavailable("gone")), c=whole)
    assert await edges.play("a", "b", "c") == SONG
    assert edges.told == [
        ("a", 0, False, "TimeoutError"),
        ("b", 4_321, True, "Unavailable"),
        ("c", len(SONG) - 4_321, True, "NoneType"),
    ]


async def test_an_answer_that_ends_early_is_a_failure() -> None:
    edges = Edges(a=dies_at(5_000), b=whole)
    assert await edges.play("a", "b") == SONG


async def test_a_silent_edge_is_left_after_the_stall_time() -> None:
    edges = Edges(a=stalls, b=whole)
    assert await edges.play("a", "b") == SONG
    assert edges.said == ["a at byte 0: no byte for 0 s"]


async def test_a_used_up_list_is_asked_for_again_with_the_failed_edges() -> None:
    edges = Edges(a=dies_at(100, Unavailable("gone")), b=dies_at(200, NotFound("purged")), c=whole)
    edges.later = [["c"]]
    assert await edges.play("a", "b") == SONG
    assert edges.rerouted == [("a", "b")]


async def test_altered_bytes_are_named_and_not_taken_for_the_song() -> None:
    async def liar(offset: int) -> AsyncGenerator[bytes, None]:
        yield bytes(len(SONG) - offset)

    with pytest.raises(DataCorrupt, match=WANTED.rendition_id):
        await Edges(a=liar).play("a")


async def test_an_edge_that_sends_too_much_is_left() -> None:
    async def generous(offset: int) -> AsyncGenerator[bytes, None]:
        yield SONG[offset:] + b"x"

    edges = Edges(a=generous, b=whole)
    assert await edges.play("a", "b") == SONG


async def test_it_gives_up_with_the_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprise.cli.failover.PAUSE_S", 0.0)
    with pytest.raises(Unavailable, match="a: full; no balancer answers"):
        await Edges(a=dies_at(0, Unavailable("full"))).play("a")
