"""Which known words a mistyped word may mean, by keys that a sorted dictionary of terms can answer. Pure.

Two words within one edit share a deletion: a form with at most one letter left out (the symmetric-delete idea of SymSpell,
W. Garbe 2012). Indexed are the deletions of *stems*, the first letters of each known word, so the start of a word, as it is
being typed, is corrected like a whole one. An entry is the deletion and its stem in one term: a lookup reads the dictionary
alone.

What stems cannot tell, edits behind their end, is decided by distance over the words that begin with them. Of two edits within
the first STEM_CHARS_MAX letters, those are found of which one is a letter too many.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from catalog import normalise, spelling
from catalog.query import Query
from catalog.searching.tiers import Guess

STEM_CHARS_MAX = 7
_STEM_CHARS_MIN = 4
# Not part of any word: the normaliser removes it.
_BETWEEN = "\x1f"
WORDS_MAX = 40
_STARTS_MAX = 12
# So many words of a query are guessed at: the unknown ones, or else the rarest.
_UNKNOWN_MAX = 8
_RAREST_MAX = 3


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What is known. `near` and `words` list the terms that begin with a text, with how many songs have each."""

    near: Callable[[str], Iterable[tuple[str, int]]]
    words: Callable[[str], Iterable[tuple[str, int]]]
    count: Callable[[str], int]


def stems(word: str) -> list[str]:
    """The starts of a word that are indexed for it; none when nobody could correct it."""
    if not spelling.correctable(word) or normalise.is_cjk(word):
        return []
    longest = min(len(word), STEM_CHARS_MAX)
    return [word[:chars] for chars in range(min(_STEM_CHARS_MIN, longest), longest + 1)]


def entries(stem: str) -> list[str]:
    """The dictionary's terms for a stem."""
    return sorted(deletion + _BETWEEN + stem for deletion in spelling.deletions(stem))


def entry(stem: str) -> str:
    """That term of `entries` by which a stem is known to be there."""
    return stem + _BETWEEN + stem


def guesses(asked: Query, known: Dictionary) -> dict[str, Guess]:
    """What the words of a query may mean, and all of it without its spaces.

    Words that nobody knows are the mistyped ones; where all are known, the rarest may be.
    """
    words = list(dict.fromkeys(asked.words))
    counts = {word: known.count(word) for word in words}
    if asked.words and not counts[asked.words[-1]]:
        counts[asked.words[-1]] = sum(count for _, count in known.words(asked.words[-1]))
    unknown = [word for word in words if not counts[word]][:_UNKNOWN_MAX]
    doubtful = unknown or sorted(words, key=counts.__getitem__)[:_RAREST_MAX]
    alone = len(asked.words) == 1
    found = {word: guess(word, known, last=word == asked.words[-1], alone=alone) for word in doubtful}
    if asked.joined not in found:
        found[asked.joined] = Guess(guess(asked.joined, known, last=False, alone=True).words)
    return found


def guess(word: str, known: Dictionary, *, last: bool, alone: bool) -> Guess:
    """What `word` may mean; as the last word of a query also the start of what it may mean.

    Short words beside others may mean more than alone: the others say which.
    """
    if not spelling.correctable(word) or normalise.is_cjk(word):
        return Guess()
    stems = _similar_stems(word, known)
    words: dict[str, int] = {}
    for stem in stems:
        if len(stem) == STEM_CHARS_MAX:
            words.update(known.words(stem))
        elif count := known.count(stem):
            words[stem] = count
    words = {other: count for other, count in words.items() if not alone or spelling.may_mean(word, other)}
    whole = _closest(word, words, spelling.distance, WORDS_MAX)
    if not last:
        return Guess(whole)
    if len(word) < STEM_CHARS_MAX:
        begun = dict.fromkeys((stem for stem in stems if len(stem) >= _STEM_CHARS_MIN), 0)
        return Guess(whole, _closest(word, begun, spelling.distance, _STARTS_MAX))
    return Guess(whole, _closest(word, words, spelling.distance_of_start, _STARTS_MAX))


def _similar_stems(word: str, known: Dictionary) -> set[str]:
    """The indexed stems within reach of the first letters of `word`."""
    keys = spelling.deletions(word[:STEM_CHARS_MAX])
    if spelling.edits_max(word) > 1:
        keys = keys.union(*map(spelling.deletions, keys))
    return {term.rpartition(_BETWEEN)[2] for key in keys for term, _ in known.near(key + _BETWEEN)}


def _closest(word: str, counts: dict[str, int], distance: Callable[[str, str], int], most: int) -> tuple[str, ...]:
    """Those within the edits allowed: fewest edits first, then those that begin like `word`, then the more frequent."""
    limit = spelling.edits_max(word)
    ranked = []
    for candidate, count in counts.items():
        edits = distance(word, candidate)
        if edits <= limit:
            ranked.append((edits, candidate[0] != word[0], -count, candidate))
    return tuple(candidate for *_, candidate in sorted(ranked)[:most])
