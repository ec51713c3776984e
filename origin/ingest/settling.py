"""Which files of a watched folder are whole: those that did not change from one scan to the next. Pure.

Every file is taken once in each state. One that failed is not tried again until it changes. Memory is that of the last scan:
what left the folder is forgotten.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when somebody writes a file."""

    size_bytes: int
    modified_ns: int


class Settling:
    """Remembers the last scan by paths, and in which state each file was taken."""

    def __init__(self) -> None:
        self._seen: dict[str, Stamp] = {}
        self._taken: dict[str, Stamp] = {}

    def take(self, found: Mapping[str, Stamp]) -> list[str]:
        """Of the files `found` by this scan those to import now."""
        whole = [
            path for path, stamp in found.items() if self._seen.get(path) == stamp and self._taken.get(path) != stamp
        ]
        self._seen = dict(found)
        self._taken = {path: stamp for path, stamp in self._taken.items() if path in found}
        self._taken |= {path: found[path] for path in whole}
        return whole

    def put_back(self, paths: Iterable[str]) -> None:
        """Files that were taken and not dealt with: they are whole at the next scan too."""
        for path in paths:
            self._taken.pop(path, None)
