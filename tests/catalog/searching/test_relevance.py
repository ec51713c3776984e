"""Recall and rank on the judged set, printed as a table with every run."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.catalog.searching import judged
from tests.catalog.searching.judged import Judged
from tests.catalog.searching.library import Library

# Recall within the first ten, by kind of query.
RECALL_MIN = {
    "prefix": 1.0,
    "plain letters": 1.0,
    "signs": 1.0,
    "mixed": 1.0,
    "no article": 1.0,
    "spaces": 1.0,
    "two typos": 1.0,
    "typo in title": 0.95,
    "typo in artist": 0.95,
    "exact title": 1.0,
    "exact artist": 1.0,
}


@dataclass(frozen=True, slots=True)
class Score:
    """Of one kind of query: at which place, from 1, the first right song was; 0 where it was not among ten."""

    places: Sequence[int]

    @property
    def recall_at_1(self) -> float:
        return sum(place == 1 for place in self.places) / len(self.places)

    @property
    def recall_at_10(self) -> float:
        return sum(place > 0 for place in self.places) / len(self.places)

    @property
    def mean_reciprocal_rank(self) -> float:
        return sum(1 / place for place in self.places if place) / len(self.places)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Score]:
    """Every judged query asked once, by kind."""
    rows = judged.tracks()
    library = Library(tmp_path_factory.mktemp("chinook"), judged.entries(rows))
    places: dict[str, list[int]] = defaultdict(list)
    missed: list[Judged] = []
    for query in judged.judged(rows):
        right = [at for at, found in enumerate(library.songs(query.typed, 10), 1) if query.meant(found)]
        places[query.kind].append(right[0] if right else 0)
        missed += [] if right else [query]
    found = {kind: Score(of_kind) for kind, of_kind in places.items()}
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n\n" + _table(found, missed))
    return found


def _table(scores: dict[str, Score], missed: Sequence[Judged]) -> str:
    lines = [f"{'kind of query':<16}{'queries':>8}{'recall@1':>10}{'recall@10':>11}{'MRR':>7}"]
    for kind, score in scores.items():
        numbers = f"{score.recall_at_1:>10.3f}{score.recall_at_10:>11.3f}{score.mean_reciprocal_rank:>7.3f}"
        lines.append(f"{kind:<16}{len(score.places):>8}{numbers}")
    lines += [f"missed: {query.typed!r} ({query.title or query.artist})" for query in missed]
    return "\n".join(lines)


@pytest.mark.parametrize("kind", RECALL_MIN)
def test_what_was_meant_is_among_the_first_ten(scores: dict[str, Score], kind: str) -> None:
    assert scores[kind].recall_at_10 >= RECALL_MIN[kind]


@pytest.mark.parametrize("kind", ["exact title", "exact artist"])
def test_an_exact_name_comes_first(scores: dict[str, Score], kind: str) -> None:
    assert scores[kind].recall_at_1 >= 0.98


def test_there_are_enough_queries_to_judge_by(scores: dict[str, Score]) -> None:
    assert sum(len(score.places) for score in scores.values()) >= 500
