"""What each tier of a search asks for, as an expression over the terms of `documents`, for any engine to run. Pure.

A query is answered tier by tier, and the next tier only runs while the page is not full. Guesses come last and only when little
matched as typed: tried first they would bury what the listener meant under what looks like it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from catalog import normalise, query
from catalog.query import Query
from catalog.searching.backend import Tier
from catalog.searching.documents import BEGINNING_CHARS_MAX, START_CHARS_MAX

# With this many matches as typed there is no need to guess.
_FOUND_ENOUGH = 10
# So many letters that fit by chance are rare: one match is enough.
_SURE_CHARS = 8
GUESSES = frozenset(tier for tier in Tier if tier >= Tier.CORRECTED_NAME)
_SHORT_CHARS = 3


class Field(Enum):
    """The fields of `documents.Terms`."""

    EXACT_TITLE = "exact_title"
    EXACT_NAME = "exact_name"
    BEGINNING = "beginning"
    WORD = "word"
    START = "start"
    ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True)
class Term:
    """Has this term."""

    field: Field
    text: str


@dataclass(frozen=True, slots=True)
class Begins:
    """Has a term that begins so."""

    field: Field
    text: str


@dataclass(frozen=True, slots=True)
class All:
    parts: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    parts: "tuple[Expression, ...]"


Expression = Term | Begins | All | Any


@dataclass(frozen=True, slots=True)
class Guess:
    """What a word may mean, closest first: known words; of the last word, still being typed, also known starts of words."""

    words: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()


def as_typed(asked: Query) -> dict[Tier, Expression]:
    """The tiers that take the query as it was typed."""
    words = _words(asked, Field.WORD)
    begins: Expression = Term(Field.BEGINNING, asked.text[:BEGINNING_CHARS_MAX])
    if len(asked.text) > BEGINNING_CHARS_MAX:
        begins = All((begins, words))
    return {
        Tier.EXACT_TITLE: Term(Field.EXACT_TITLE, asked.joined),
        Tier.EXACT_NAME: Term(Field.EXACT_NAME, asked.joined),
        Tier.PREFIX: begins,
        Tier.WORDS: words,
        Tier.MENTION: _words(asked, Field.ANYWHERE),
    }


def is_enough(asked: Query, last: Tier | None, found: int) -> bool:
    """Whether no guesses are needed when `found` songs matched, the last of them in the tier `last`; None when none did.

    A name is enough by itself, also a corrected one. Told alike on every page.
    """
    if last in (Tier.EXACT_TITLE, Tier.EXACT_NAME, Tier.CORRECTED_NAME):
        return True
    sure = last is not None and last not in GUESSES and len(asked.joined) >= _SURE_CHARS
    return found >= (1 if sure else _FOUND_ENOUGH)


def corrected(asked: Query, guesses: Mapping[str, Guess], respaced: Sequence[Sequence[str]]) -> dict[Tier, Expression]:
    """The tiers that guess. `guesses` are by word, and by the whole query without spaces; `respaced` are the words with their
    spaces elsewhere, as far as they are known words then."""
    names = query.corrected_names(asked, {word: guess.words for word, guess in guesses.items()})
    words = tuple(_guessed(piece, guesses, ends=False) for piece in asked.pieces)
    last = _guessed(asked.pieces[-1], guesses, ends=True)
    spaced = (All(tuple(Term(Field.WORD, word) for word in words)) for words in respaced)
    return {
        Tier.CORRECTED_NAME: Any(
            tuple(Term(field, name) for field in (Field.EXACT_TITLE, Field.EXACT_NAME) for name in names)
        ),
        Tier.CORRECTED_WORDS: Any((All(words), *spaced)),
        Tier.CORRECTED_STARTS: All((*words[:-1], last)),
        Tier.CORRECTED_SHORT: Any(
            tuple(
                All((*words[:at], *words[at + 1 :]))
                for at, piece in enumerate(asked.pieces)
                if len(asked.pieces) > 1 and len(normalise.join(piece)) <= _SHORT_CHARS
            )
        ),
    }


def _words(asked: Query, field: Field) -> Expression:
    return All(tuple(_piece(piece, field, last=piece is asked.pieces[-1]) for piece in asked.pieces))


def _piece(piece: tuple[str, ...], field: Field, *, last: bool) -> Expression:
    """The words of a piece, or all of them written together: AC/DC is both "ac", "dc" and "acdc"."""
    *before, end = piece
    split = [*(Term(field, word) for word in before), _last_word(end, field) if last else Term(field, end)]
    together = normalise.join(piece)
    apart = split[0] if len(split) == 1 else All(tuple(split))
    if together in piece:
        return apart
    return Any((apart, _last_word(together, field) if last else Term(field, together)))


def _last_word(word: str, field: Field) -> Expression:
    """A word that may go on."""
    if normalise.is_cjk(word):
        return Term(field, word)
    if len(word) > START_CHARS_MAX:
        return Begins(field, word)
    # Starts are those of words in the title and artists.
    return Term(Field.START, word) if field is Field.WORD else Any((Term(Field.START, word), Term(field, word)))


def _guessed(piece: tuple[str, ...], guesses: Mapping[str, Guess], *, ends: bool) -> Expression:
    """A piece with the guesses of its words beside them; with `ends`, its last word may be the start of one."""
    split = [_options(word, guesses, start=ends and word is piece[-1]) for word in piece]
    together = normalise.join(piece)
    apart = split[0] if len(split) == 1 else All(tuple(split))
    return apart if together in piece else Any((apart, _options(together, guesses, start=ends)))


def _options(word: str, guesses: Mapping[str, Guess], *, start: bool) -> Expression:
    guess = guesses.get(word, Guess())
    words: tuple[Expression, ...] = tuple(Term(Field.ANYWHERE, text) for text in dict.fromkeys((word, *guess.words)))
    if start:
        words += (_last_word(word, Field.WORD), *(Begins(Field.WORD, text) for text in guess.starts))
    return words[0] if len(words) == 1 else Any(words)
