"""What the search index knows of a song, artist or release, and the terms by which each is found. Pure.

Terms come from the one normaliser; engines take them as they are and neither split nor fold. A change of any term, of `rank`
or of how an engine lays them out needs a new VERSION: an index of another version is refused, never half understood.
"""

import hashlib
import itertools
import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from catalog import normalise
from catalog.model import EntityKind

VERSION = 1
# The whole name typed so far is looked up by this many characters; beyond them by its words too.
BEGINNING_CHARS_MAX = 8
# So short a start of a word fits too many words to try them one by one: it is a term itself.
START_CHARS_MAX = 3
_SCORE_STEPS = 1024
_SCORE_MAX = 4000.0
_TIE_BITS = 40
_ZERO_BANDS = 16
_BANDS_MAX = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to be found, in names as shown. Of an artist, `title` is the name and `aliases` are his own.

    Of a song or release, `aliases` are those of its artists. `score` is its popularity, 0 when it was never played.
    `available_from_ms` is Unix time; 0 for what was never held back.
    """

    kind: EntityKind
    id: uuid.UUID
    title: str
    artists: tuple[str, ...] = ()
    artist_ids: tuple[uuid.UUID, ...] = ()
    aliases: tuple[str, ...] = ()
    album: str = ""
    genres: tuple[str, ...] = ()
    genre_ids: tuple[uuid.UUID, ...] = ()
    year: int = 0
    score: float = 0.0
    available_from_ms: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """How an entry is found, by tier."""

    # Whole names without spaces, as a typed query is compared with them.
    exact_titles: frozenset[str]
    exact_names: frozenset[str]
    # The first characters of title and artists.
    beginnings: frozenset[str]
    # Of title, artists and aliases, and the first letters of each.
    words: frozenset[str]
    starts: frozenset[str]
    # Those of `words`, and of album and genres: one list to look through, for a choice of two costs more.
    anywhere: frozenset[str]


def terms(entry: Entry) -> Terms:
    """The terms of an entry."""
    titles = _forms(entry.title)
    names = {form for name in entry.artists for form in _forms(name)}
    if len(entry.artists) > 1:
        names.add(normalise.key(" ".join(entry.artists)))
    both = {part for name in names for title in titles for part in (name + title, title + name)}
    aliases = {form for name in entry.aliases for form in _forms(name)}
    words = _words_of((entry.title, *entry.artists, *entry.aliases))
    # Aliases are found by their words; as beginnings of every song of their artist they would fill the index.
    begun = {form for name in (entry.title, *entry.artists) for form in _forms(name)}
    return Terms(
        exact_titles=frozenset(map(_joined, titles)),
        exact_names=frozenset(map(_joined, names | both | aliases)),
        beginnings=frozenset(form[:chars] for form in begun for chars in range(1, _chars(form, BEGINNING_CHARS_MAX))),
        words=frozenset(words),
        starts=frozenset(start for word in words for start in starts(word)),
        anywhere=frozenset(words | _words_of((entry.album, *entry.genres))),
    )


def starts(word: str) -> list[str]:
    """The first letters of a word, one to START_CHARS_MAX of them; none of CJK, whose characters are words themselves."""
    return [] if normalise.is_cjk(word) else [word[:chars] for chars in range(1, _chars(word, START_CHARS_MAX))]


def rank(entry: Entry) -> int:
    """The order of entries that match equally well: by popularity, then by a number drawn from the id, so that no two tie."""
    score = round(min(max(entry.score, 0.0), _SCORE_MAX) * _SCORE_STEPS)
    tie = int.from_bytes(hashlib.blake2b(entry.id.bytes, digest_size=_TIE_BITS // 8).digest())
    return score << _TIE_BITS | tie


def band(rank: int) -> int:
    """A coarse step of ranks, for reading the most popular ones first: each band has some half as many as the one below.

    Popularity is a logarithm and plays follow a Zipf law. Where nothing was played, the numbers drawn from ids are halved.
    """
    if rank >> _TIE_BITS:
        return _ZERO_BANDS + math.floor((rank >> _TIE_BITS) / _SCORE_STEPS)
    below = (1 << _TIE_BITS) - rank
    return min(_TIE_BITS - below.bit_length(), _ZERO_BANDS - 1)


@lru_cache(1 << 16)
def _forms(name: str) -> tuple[str, ...]:
    """The key of a name, and that without its article: both "the beatles" and "beatles"."""
    key = normalise.key(name)
    bare = normalise.key(normalise.bare_name(name))
    return tuple(dict.fromkeys(form for form in (key, bare) if form))


@lru_cache(1 << 16)
def _words(name: str) -> frozenset[str]:
    return frozenset(normalise.words(name))


def _words_of(names: Iterable[str]) -> set[str]:
    return set(itertools.chain.from_iterable(map(_words, names)))


def _joined(form: str) -> str:
    return form.replace(" ", "")


def _chars(text: str, most: int) -> int:
    """The end of a range of lengths."""
    return min(len(text), most) + 1
