"""Which files of the store may go: those that no manifest has named for a while. Pure.

A replica that has read a manifest goes on to fetch its files while the next one may be published already; the grace is for it.
Time counts from when this indexer first saw a file unnamed, so clocks of stores and of earlier indexers do not matter.
"""

from collections.abc import Iterable


class Garbage:
    """Remembers since when each stored file is without a name."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._unnamed_since: dict[str, float] = {}

    def due(self, stored: Iterable[str], named: Iterable[str], now: float) -> list[str]:
        """Keys to delete now, of those that are stored and that the manifest does not name."""
        unnamed = set(stored).difference(named)
        self._unnamed_since = {key: self._unnamed_since.get(key, now) for key in unnamed}
        return sorted(key for key, since in self._unnamed_since.items() if now - since >= self._grace_s)
