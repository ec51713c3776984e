"""What deserves a place on disk. Pure.

Most of what a cache is asked for is asked for once; writing it would wear the disk and push out what is asked for again. And
what another edge of the region is home to would take room from what only we keep: a *guest* stays in RAM (`homes`). Measured
in docs/decisions/cooperative-admission.md.

Invariant: remembers at most `keys_max` parts, and forgets the oldest first.
"""

import enum
from collections import OrderedDict

from edge_node.eviction import Key, S3Fifo
from edge_node.homes import Homes

REQUESTS = 2
# More of the disk than this is free: nothing has to leave, so nothing needs to be earned.
ROOM_SHARE = 0.05
_KEPT = REQUESTS + 1


class Ruling(enum.Enum):
    """Why a part may be written, or may not."""

    KEPT = "kept"  # prewarmed, or it replaces what was bad on disk
    AGAIN = "again"  # asked for twice
    ROOM = "room"  # asked for, and the disk is not full yet
    SELDOM = "seldom"  # refused: not asked for twice
    GUEST = "guest"  # refused: at home on another edge

    @property
    def admits(self) -> bool:
        return self not in (Ruling.SELDOM, Ruling.GUEST)


class DiskAdmission:
    """Counts requests by part; `disk` is the policy of the tier that asks."""

    def __init__(self, keys_max: int, homes: Homes, disk: S3Fifo) -> None:
        self._keys_max = keys_max
        self._homes = homes
        self._disk = disk
        self._requests: OrderedDict[Key, int] = OrderedDict()

    def touch(self, key: Key) -> None:
        """Counts a request for `key`."""
        requests = self._requests.get(key, 0)
        self._note(key, requests if requests >= REQUESTS else requests + 1)

    def keep(self, key: Key) -> None:
        """Admits `key` without waiting for requests, guest or not."""
        self._note(key, _KEPT)

    def is_kept(self, key: Key) -> bool:
        """Whether `key` was admitted by `keep`."""
        return self._requests.get(key, 0) == _KEPT

    def rule(self, key: Key) -> Ruling:
        """What holds for `key`, which is not on disk."""
        requests = self._requests.get(key, 0)
        if requests == _KEPT:
            return Ruling.KEPT
        if not self._homes.here(key.rendition_id):
            return Ruling.GUEST
        if requests == REQUESTS:
            return Ruling.AGAIN
        free_bytes = self._disk.bytes_max - self._disk.size_bytes
        return Ruling.ROOM if requests and free_bytes > ROOM_SHARE * self._disk.bytes_max else Ruling.SELDOM

    def forget(self, key: Key) -> None:
        self._requests.pop(key, None)

    def _note(self, key: Key, requests: int) -> None:
        self._requests[key] = requests
        if len(self._requests) > self._keys_max:
            self._requests.popitem(last=False)
