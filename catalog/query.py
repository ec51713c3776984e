"""A typed query in normalised form, and the other ways in which it may have been meant. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from catalog import normalise
from reprise.errors import InvalidRequest

QUERY_CHARS_MAX = 200
_SPLIT_CHARS_MIN = 2


@dataclass(frozen=True, slots=True)
class Query:
    """A query in normalised form. `pieces` are the words of each piece between spaces, as in `normalise.tokens`."""

    text: str
    pieces: tuple[tuple[str, ...], ...]

    @property
    def joined(self) -> str:
        """All of it without spaces, as whole names are compared."""
        return self.text.replace(" ", "")

    @property
    def words(self) -> list[str]:
        """Its words as typed, in order."""
        return [word for piece in self.pieces for word in piece]


def parse(text: str) -> Query:
    """The query that `text` spells; InvalidRequest when there is nothing to look for, or too much."""
    if len(text) > QUERY_CHARS_MAX:
        raise InvalidRequest(f"query has {len(text)} characters; at most {QUERY_CHARS_MAX}")
    key = normalise.key(text)
    if not key:
        raise InvalidRequest(f"query {text[:80]!r} has nothing to look for: give a title, an artist or an album")
    return Query(key, tuple(normalise.tokens(text)))


def corrected_names(query: Query, alternatives: Mapping[str, Sequence[str]]) -> list[str]:
    """The whole query without spaces, with the closest alternative of each word, and with any one of one word."""
    words = query.text.split()
    closest = [alternatives[word][0] if alternatives.get(word) else word for word in words]
    names = ["".join(closest), *alternatives.get(query.joined, ())]
    for at, word in enumerate(words):
        before, behind = "".join(closest[:at]), "".join(closest[at + 1 :])
        names += [before + other + behind for other in alternatives.get(word, ())]
    return list(dict.fromkeys(names))


def respaced(words: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """The words with one space less or one more, each beside the words that are new in it."""
    for at in range(len(words) - 1):
        together = words[at] + words[at + 1]
        yield [*words[:at], together, *words[at + 2 :]], [together]
    for at, word in enumerate(words):
        for end in range(_SPLIT_CHARS_MIN, len(word) - _SPLIT_CHARS_MIN + 1):
            apart = [word[:end], word[end:]]
            yield [*words[:at], *apart, *words[at + 1 :]], apart
