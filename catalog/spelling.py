"""How far two words are apart. Pure.

One edit is an inserted, missing, replaced or swapped letter (optimal string alignment). Two words within one edit share a
deletion: a form with at most one letter left out.
"""

# Below this, almost any word is one edit from any other.
WORD_CHARS_MIN = 3
WORD_CHARS_MAX = 24
_TWO_EDITS_FROM = 8


def deletions(word: str) -> set[str]:
    """The word and every form of it with one letter left out."""
    return {word} | {word[:at] + word[at + 1 :] for at in range(len(word))}


def correctable(word: str) -> bool:
    """Whether a word may be a mistyped one, or be meant by one."""
    return WORD_CHARS_MIN <= len(word) <= WORD_CHARS_MAX and not word.isdecimal()


def may_mean(word: str, other: str) -> bool:
    """Of three letters only a fourth that is missing or too many is forgiven."""
    return word == other or max(len(word), len(other)) > WORD_CHARS_MIN


def edits_max(word: str) -> int:
    """How many edits are forgiven in a word of this length."""
    return 2 if len(word) >= _TWO_EDITS_FROM else 1


def distance(a: str, b: str) -> int:
    """Edits between two words, a swap of neighbours counting as one (optimal string alignment)."""
    return _last_row(*_differing(a, b))[-1]


def distance_of_start(typed: str, word: str) -> int:
    """Edits between `typed` and the start of `word` that it is closest to."""
    return min(_last_row(typed, word[: len(typed) + edits_max(typed)]))


def _differing(a: str, b: str) -> tuple[str, str]:
    """Both without what they have in common at the start and at the end: no edit is there."""
    start, most = 0, min(len(a), len(b))
    while start < most and a[start] == b[start]:
        start += 1
    end = 0
    while end < most - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return a[start : len(a) - end], b[start : len(b) - end]


def _last_row(a: str, b: str) -> list[int]:
    """The edits from `a` to each start of `b`."""
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
    return last
