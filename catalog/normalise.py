"""Names as people type them: one function for what is stored and what is asked, so the two can never disagree. Pure.

"Björk", "BJORK" and "bjork" have one key; so have "T.N.T." and "t.n.t". Marks are stripped from Latin, Greek and Cyrillic
letters only: elsewhere they are not accents but make other letters (か and が). The database never folds or splits text.

Invariants: `key` is idempotent; `key(x)` is empty only when `x` has nothing to read; every word of `words` is 1 to
WORD_CHARS_MAX long. A change of any result needs a new VERSION and a migration that rewrites the stored keys.
"""

import re
import unicodedata
from functools import lru_cache

VERSION = 1
KEY_CHARS_MAX = 256
WORD_CHARS_MAX = 64

# Letters that do not decompose into a base letter and a mark.
_BASE_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}
)
# Han, kana, bopomofo and Hangul: written without spaces, or with endings that stick to the word.
_CJK = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3041-\u3096\u3099-\u30ff\u3105-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_ARTICLE = re.compile(r"(The|A|An)\s+(\S.*)", re.IGNORECASE | re.DOTALL)
# What `_fold` and `_mask` do to ASCII, as one step each: most names are nothing else.
_ASCII_FOLD = {at: chr(at).lower() if chr(at).isprintable() or chr(at).isspace() else None for at in range(128)}
_ASCII_MASK = {at: chr(at) if chr(at).isalnum() else " " for at in range(128)}


def key(name: str) -> str:
    """The form by which names are compared and sorted: words in lower case with one space between.

    A name without any letter or digit ("!!!", "÷") is kept as its signs.
    """
    folded = _fold(name)
    readable = _mask(folded).split()
    return (" ".join(readable) or "".join(folded.split()))[:KEY_CHARS_MAX].rstrip()


def joined(name: str) -> str:
    """The key without its spaces: "tnt" for "T.N.T.", "sugarcane" for "Sugar Cane"."""
    return key(name).replace(" ", "")


def tokens(name: str) -> list[tuple[str, ...]]:
    """The words of each piece between spaces of `name`: [("ac", "dc"), ("live",)] for "AC/DC live".

    A run of CJK becomes its pairs of neighbours: ("東京", "京事", "事変") for 東京事変. Pieces without letters are left
    out, unless there are no others.
    """
    folded = _fold(name)
    pieces = [tuple(_split(_mask(piece))) for piece in folded.split()]
    return [piece for piece in pieces if piece] or [(sign[:WORD_CHARS_MAX],) for sign in [key(name)] if sign]


def words(name: str) -> set[str]:
    """Every word by which a name is found: its words, the joined form of each piece, and single CJK characters."""
    found: set[str] = set()
    for piece in tokens(name):
        found.update((*piece, join(piece)))
        found.update(character for word in piece if is_cjk(word) for character in word)
    return found


def join(piece: tuple[str, ...]) -> str:
    """The words of one piece written together: "acdc" for ("ac", "dc"). Of CJK, whose pairs overlap, the first."""
    return piece[0] if any(map(is_cjk, piece)) else "".join(piece)[:WORD_CHARS_MAX]


def is_cjk(word: str) -> bool:
    """Whether a word of `words` is of a script without spaces."""
    return _CJK.match(word) is not None


def sort_name(name: str) -> str:
    """The name as a shelf would have it: "Beatles, The"."""
    match = _ARTICLE.fullmatch(name)
    return f"{match[2]}, {match[1]}" if match else name


def bare_name(name: str) -> str:
    """The name without its article: "Beatles"."""
    match = _ARTICLE.fullmatch(name)
    return match[2] if match else name


def _fold(name: str) -> str:
    """Case, width, marks and ligatures removed; spaces and punctuation still in place."""
    if name.isascii():
        return name.translate(_ASCII_FOLD)
    text = unicodedata.normalize("NFKC", name).casefold()
    bare = "".join(_strip_marks(unicodedata.normalize("NFD", text))).translate(_BASE_LETTERS)
    return unicodedata.normalize("NFKC", bare)


def _strip_marks(decomposed: str) -> list[str]:
    kept: list[str] = []
    bare = True
    for character in decomposed:
        if _ignorable(character):
            continue
        if not unicodedata.category(character).startswith("M"):
            bare = _has_accents(character)
        elif bare:
            continue
        kept.append(character)
    return kept


def _mask(folded: str) -> str:
    """The text with a space for each sign that is not part of a word; a mark belongs to the letter before it."""
    if folded.isascii():
        return folded.translate(_ASCII_MASK)
    masked: list[str] = []
    for character in folded:
        category = unicodedata.category(character)[0]
        in_word = category in "LN" or (category == "M" and bool(masked) and masked[-1] != " ")
        masked.append(character if in_word else " ")
    return "".join(masked)


def _split(masked: str) -> list[str]:
    """Words of a piece: CJK runs as pairs, everything else as it stands."""
    found: list[str] = []
    for word in masked.split():
        at = 0
        for run in _CJK.finditer(word):
            found += [word[at : run.start()], *_pairs(run.group())]
            at = run.end()
        found.append(word[at:])
    return [word[:WORD_CHARS_MAX] for word in found if word]


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


@lru_cache(4096)
def _has_accents(character: str) -> bool:
    """Whether marks on this letter are accents; also true of spaces and signs, where a mark stands alone."""
    if not unicodedata.category(character).startswith("L"):
        return not character.isalnum()
    return unicodedata.name(character, "").startswith(("LATIN", "GREEK", "CYRILLIC"))


def _ignorable(character: str) -> bool:
    """Control and format characters and variation selectors: they change how a letter looks, not which it is."""
    if "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return True
    return unicodedata.category(character) in ("Cf", "Cc") and not character.isspace()
