"""What deserves a place on disk: parts that were asked for twice, or that somebody prewarmed. Pure.

Most of what a cache is asked for is asked for once; writing it would wear the disk and push out what is asked for again.
Invariant: remembers at most `keys_max` parts, and forgets the oldest first.
"""

from collections import OrderedDict

from edge_node.eviction import Key

REQUESTS = 2


class DiskAdmission:
    """Counts requests by part."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._requests: OrderedDict[Key, int] = OrderedDict()

    def touch(self, key: Key) -> None:
        """Counts a request for `key`."""
        self._requests[key] = min(self._requests.get(key, 0) + 1, REQUESTS)
        if len(self._requests) > self._keys_max:
            self._requests.popitem(last=False)

    def keep(self, key: Key) -> None:
        """Admits `key` without waiting for requests."""
        for _ in range(REQUESTS):
            self.touch(key)

    def admits(self, key: Key) -> bool:
        return self._requests.get(key, 0) >= REQUESTS

    def forget(self, key: Key) -> None:
        self._requests.pop(key, None)
