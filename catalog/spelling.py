"""Which known words a mistyped word may mean. Pure.

One edit is an inserted, missing, replaced or swapped letter (optimal string alignment). Two words within one edit share a
deletion: a form with at most one letter left out (the symmetric-delete idea of SymSpell, W. Garbe 2012). So an index of
deletions finds every candidate for one edit, in short words and in the first letter too, where trigrams share nothing.
"""

from collections.abc import Iterable

# Below this, almost any word is one edit from any other.
WORD_CHARS_MIN = 3
WORD_CHARS_MAX = 24
_TWO_EDITS_FROM = 8
ALTERNATIVES_MAX = 12


def deletions(word: str) -> set[str]:
    """The word and every form of it with one letter left out."""
    return {word} | {word[:at] + word[at + 1 :] for at in range(len(word))}


def correctable(word: str) -> bool:
    """Whether a word may be a mistyped one, or be meant by one."""
    return WORD_CHARS_MIN <= len(word) <= WORD_CHARS_MAX and not word.isdecimal()


def edits_max(word: str) -> int:
    """How many edits are forgiven in a word of this length."""
    return 2 if len(word) >= _TWO_EDITS_FROM else 1


def corrections(word: str, known: Iterable[str]) -> list[str]:
    """Those of the `known` words that `word` may mean, itself included: closest first, at most ALTERNATIVES_MAX."""
    limit = edits_max(word)
    ranked = []
    for candidate in set(known):
        edits = distance(word, candidate)
        # Of three letters only a fourth that is missing or too many is forgiven.
        if edits <= limit and (edits == 0 or max(len(word), len(candidate)) > WORD_CHARS_MIN):
            ranked.append((edits, candidate[0] != word[0], sorted(candidate) != sorted(word), candidate))
    return [candidate for *_, candidate in sorted(ranked)[:ALTERNATIVES_MAX]]


def distance(a: str, b: str) -> int:
    """Edits between two words, a swap of neighbours counting as one (optimal string alignment)."""
    before_last: list[int] = []
    last = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before_last[j - 2] + 1)
            row.append(cost)
        before_last, last = last, row
    return last[-1]
