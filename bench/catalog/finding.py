"""Search as a box of search asks: ours through the whole RPC, the others by their calls, a block of questions each in turn.

One question at a time: what is measured is how long somebody waits. Answers are judged too: does a whole name come first, is a
name with a slip among the first ten.
"""

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc

from bench import report
from bench.catalog.corpus import Corpus, CorpusSong
from bench.catalog.keystrokes import Wanted, beginnings, slips
from bench.catalog.rivals import Rival
from bench.report import Column
from catalog import normalise
from reprise.catalog.v1.catalog_service_pb2 import SearchRequest, SearchResponse
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub

OURS = "Reprise"
TYPED, WHOLE, SLIPPED = "as typed", "whole name", "one slip"
PAGE = 10
BLOCK = 250
# A box of search is hardly typed fuller than this.
TYPED_CHARS_MAX = 12
ANSWER_S_MAX = 10.0
COLUMNS = (
    Column("questions", "questions"),
    Column("by", "by"),
    Column("asked", "asked"),
    Column("p50 ms", "p50_ms", 2),
    Column("p99 ms", "p99_ms", 1),
    Column("max ms", "max_ms", 1),
    Column("recall@1", "recall_1", 3),
    Column("recall@10", "recall_10", 3),
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `wanted` is what a judged answer has."""

    kind: str
    text: str
    wanted: Wanted | None = None


@dataclass(slots=True)
class Answers:
    """Of one engine to one kind of question: waits in ms, and at which place (from 1) the wanted one was, 0 for nowhere."""

    waits_ms: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    by_length: dict[int, list[float]] = field(default_factory=dict)


def questions(corpus: Corpus, real: Sequence[CorpusSong], count: int, seed: int) -> list[Question]:
    """`count` of each kind, mixed. Names are Chinook's: real ones, whatever was invented around them."""
    rng = random.Random(f"{seed} questions")
    titles = [Wanted(song.title, is_artist=False) for song in real]
    artists = [Wanted(corpus.artists[at], is_artist=True) for at in sorted({song.artist for song in real})]
    pool = titles + artists * max(1, len(titles) // (3 * len(artists)))
    found: list[Question] = []
    while len(found) < count:
        found += [Question(TYPED, text) for text in beginnings(rng.choice(pool).name, TYPED_CHARS_MAX)]
    found = found[:count]
    found += [Question(WHOLE, name.name, name) for name in rng.choices(pool, k=count)]
    found += [Question(SLIPPED, text, name) for text, name in slips(pool, count, rng)]
    rng.shuffle(found)
    return found


class Judge:
    """Says whether a song is the one that somebody meant."""

    def __init__(self, corpus: Corpus, songs: Sequence[CorpusSong]) -> None:
        self._corpus = corpus
        self._songs = songs

    def place(self, numbers: Sequence[int], wanted: Wanted) -> int:
        """Where the first song by that title or artist is, from 1; 0 when it is not there."""
        for at, number in enumerate(numbers[:PAGE], 1):
            song = self._songs[number]
            name = self._corpus.artists[song.artist] if wanted.is_artist else song.title
            if same(name, wanted.name):
                return at
        return 0


def same(one: str, other: str) -> bool:
    return normalise.key(one) == normalise.key(other)


def place_in(answer: SearchResponse, wanted: Wanted) -> int:
    """As `Judge.place`, for our own answer; an artist that is shown above the songs is the first place."""
    if wanted.is_artist and any(same(artist.name, wanted.name) for artist in answer.artists[:1]):
        return 1
    for at, song in enumerate(answer.songs[:PAGE], 1):
        names = [credit.name for credit in song.artists] if wanted.is_artist else [song.title]
        if any(same(name, wanted.name) for name in names):
            return at
    return 0


async def ask_all(
    address: str, rivals: Sequence[Rival], judge: Judge, asked: Sequence[Question], rivals_every: int
) -> dict[tuple[str, str], Answers]:
    """Every question to ours, every so many also to the rivals, block by block: some of their answers take seconds.

    Within a block one engine answers after the other, so that none finds the caches cold that another had just used.

    Raises ValueError when ours is answered by the fallback.
    """
    found: dict[tuple[str, str], Answers] = {}
    async with grpc.aio.insecure_channel(address) as channel:
        stub = CatalogServiceStub(channel)

        async def ours(question: Question) -> int:
            request = SearchRequest(query=question.text, page_size=PAGE)
            answer: SearchResponse = await stub.Search(request, timeout=ANSWER_S_MAX)
            if answer.partial:
                raise ValueError("the catalog answered without its index")
            return place_in(answer, question.wanted) if question.wanted else 0

        def theirs(rival: Rival) -> Callable[[Question], Awaitable[int]]:
            async def ask(question: Question) -> int:
                numbers = await rival.find(question.text)
                return judge.place(numbers, question.wanted) if question.wanted else 0

            return ask

        ways = {OURS: ours, **{rival.name: theirs(rival) for rival in rivals}}
        for first in range(0, len(asked), BLOCK):
            block = asked[first : first + BLOCK]
            for name, way in ways.items():
                for question in block if name == OURS else block[::rivals_every]:
                    await _ask(question, way, found.setdefault((question.kind, name), Answers()))
            report.say(f"asked {first + len(block):,} of {len(asked):,}")
    return found


async def _ask(question: Question, way: Callable[[Question], Awaitable[int]], answers: Answers) -> None:
    began = time.perf_counter()
    place = await way(question)
    wait_ms = (time.perf_counter() - began) * 1000
    answers.waits_ms.append(wait_ms)
    answers.by_length.setdefault(len(question.text), []).append(wait_ms)
    if question.wanted:
        answers.places.append(place)


def rows(found: dict[tuple[str, str], Answers]) -> list[dict[str, object]]:
    """One row per kind of question and engine."""
    return [_row(kind, name, answers) for (kind, name), answers in sorted(found.items())]


def _row(kind: str, name: str, answers: Answers) -> dict[str, object]:
    row: dict[str, object] = {
        "questions": kind,
        "by": name,
        "asked": len(answers.waits_ms),
        "p50_ms": report.median(answers.waits_ms),
        "p99_ms": report.quantile(answers.waits_ms, 0.99),
        "max_ms": max(answers.waits_ms),
    }
    if answers.places:
        row["recall_1"] = sum(place == 1 for place in answers.places) / len(answers.places)
        row["recall_10"] = sum(place > 0 for place in answers.places) / len(answers.places)
    return row
