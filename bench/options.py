"""What the command lines of the benchmarks have in common: lists with a clear refusal."""

import argparse
from collections.abc import Callable, Sequence

_UNITS = {"k": 1 << 10, "m": 1 << 20}
WHOLE_SONG = "song"


def numbers(text: str) -> list[int]:
    """ "16,512" as whole numbers above 0."""
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers like 16,512")
    return [int(part) for part in parts]


def sizes(text: str) -> list[int]:
    """ "64k,1m,song" as bytes; a whole song is 0."""
    try:
        return [0 if part == WHOLE_SONG else int(part[:-1]) * _UNITS[part[-1]] for part in text.lower().split(",")]
    except (ValueError, KeyError, IndexError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list like 64k,256k,1m,song") from None


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A parser of lists of `known` names."""

    def parse(text: str) -> list[str]:
        if unknown := [name for name in text.split(",") if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return text.split(",")

    return parse
