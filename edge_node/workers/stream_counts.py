"""The streams of every process of the node, by grant. Pure: it says what to tell whom, and tells nobody."""

from collections import Counter
from collections.abc import Mapping


class StreamCounts:
    """Processes are numbers; the node process is 0."""

    def __init__(self) -> None:
        self._by_process: dict[int, Counter[str]] = {}

    def change(self, process: int, grants: Mapping[str, int]) -> None:
        """Adds `grants`, streams that began less streams that ended, to a process."""
        counts = self._by_process.setdefault(process, Counter())
        for grant_id, change in grants.items():
            counts[grant_id] += change
            if counts[grant_id] <= 0:
                del counts[grant_id]

    def give_back(self, process: int) -> list[str]:
        """Forgets a process that is gone; returns the grants that it had streams of."""
        return list(self._by_process.pop(process, Counter()))

    def streams(self, process: int) -> int:
        """Streams of one process."""
        return self._by_process.get(process, Counter()).total()

    def elsewhere(self, process: int) -> int:
        """Streams of all other processes."""
        return sum(counts.total() for number, counts in self._by_process.items() if number != process)

    def of_grants_elsewhere(self, process: int, grant_ids: list[str]) -> dict[str, int]:
        """Streams of all other processes by grant."""
        others = [counts for number, counts in self._by_process.items() if number != process]
        return {grant_id: sum(counts[grant_id] for counts in others) for grant_id in grant_ids}

    @property
    def grant_ids(self) -> list[str]:
        """Every grant that has a stream."""
        return list({grant_id for counts in self._by_process.values() for grant_id in counts})
