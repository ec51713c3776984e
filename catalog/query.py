"""What to ask the search table for a typed query, best kind of match first. Pure.

A query is answered tier by tier, and the next tier only runs while the page is not full. Fuzzy matching comes last and
only when little matched as typed: tried first it would bury what the listener meant under what looks like it.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from catalog import normalise, spelling
from reprise.errors import InvalidRequest

QUERY_CHARS_MAX = 200
CORRECTED_WORDS_MAX = 10
_SPELLINGS_MAX = 24


class Tier(IntEnum):
    """How a song matches; a song counts in its first tier only."""

    EXACT_TITLE = 0
    # The artist, or artist and title in either order.
    EXACT_NAME = 1
    # Title or artist starts with the whole query.
    PREFIX = 2
    # Every word somewhere in title, artists, album or genres; the last may be the start of one.
    WORDS = 3
    CORRECTED_EXACT = 4
    CORRECTED_WORDS = 5


@dataclass(frozen=True, slots=True)
class Query:
    """A query in normalised form. `pieces` are the words of each piece between spaces, as in `normalise.tokens`."""

    text: str
    pieces: tuple[tuple[str, ...], ...]

    @property
    def spellings(self) -> list[str]:
        """The whole query as exact names are stored: with spaces and without."""
        return list(dict.fromkeys((self.text, self.text.replace(" ", ""))))

    @property
    def correctable_words(self) -> list[str]:
        """The words that may be mistyped; also all of them written together, for a space may be the mistake."""
        words = {word for piece in self.pieces for word in (*piece, normalise.join(piece))} | {
            self.text.replace(" ", "")
        }
        return sorted(word for word in words if spelling.correctable(word) and not normalise.is_cjk(word))[
            :CORRECTED_WORDS_MAX
        ]


def parse(text: str) -> Query:
    """The query that `text` spells; InvalidRequest when there is nothing to look for, or too much."""
    if len(text) > QUERY_CHARS_MAX:
        raise InvalidRequest(f"query has {len(text)} characters; at most {QUERY_CHARS_MAX}")
    key = normalise.key(text)
    if not key:
        raise InvalidRequest(f"query {text[:80]!r} has nothing to look for: give a title, an artist or an album")
    return Query(key, tuple(normalise.tokens(text)))


def tsquery(query: Query) -> str:
    """The query in PostgreSQL's tsquery notation: all words, the last as a prefix."""
    return _all_of(query.pieces, {})


def corrected_tsquery(query: Query, alternatives: Mapping[str, Sequence[str]]) -> str:
    """Like `tsquery`, with the `alternatives` of each word beside it.

    Words too short to be corrected ("hte") are only asked for when there is no other.
    """
    longer = [
        piece for piece in query.pieces if any(len(w) > spelling.WORD_CHARS_MIN or normalise.is_cjk(w) for w in piece)
    ]
    return _all_of(longer or query.pieces, alternatives)


def corrected_spellings(query: Query, alternatives: Mapping[str, Sequence[str]]) -> list[str]:
    """The whole query with its words replaced by their alternatives: the closest combinations, a bounded number."""
    choices = [alternatives.get(word) or [word] for word in query.text.split()]
    combinations = itertools.islice(itertools.product(*choices), _SPELLINGS_MAX)
    forms = [form for words in combinations for form in (" ".join(words), "".join(words))]
    return list(dict.fromkeys([*forms, *alternatives.get(query.text.replace(" ", ""), ())]))


def _all_of(pieces: Sequence[tuple[str, ...]], alternatives: Mapping[str, Sequence[str]]) -> str:
    return " & ".join(_piece(piece, at == len(pieces) - 1, alternatives) for at, piece in enumerate(pieces))


def _piece(piece: tuple[str, ...], last: bool, alternatives: Mapping[str, Sequence[str]]) -> str:
    split = " & ".join(
        _word(word, last and at == len(piece) - 1, alternatives.get(word, ())) for at, word in enumerate(piece)
    )
    together = normalise.join(piece)
    if together in piece:
        return f"({split})"
    return f"(({split}) | {_word(together, last, alternatives.get(together, ()))})"


def _word(word: str, prefix: bool, alternatives: Sequence[str]) -> str:
    others = [_lexeme(other) for other in alternatives if other != word]
    return "(" + " | ".join([_lexeme(word) + (":*" if prefix else ""), *others]) + ")"


def _lexeme(word: str) -> str:
    """`word` quoted so that PostgreSQL takes it as it is."""
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"
