"""What stays in a cache tier: S3-FIFO over the parts of renditions, counted in bytes. Pure: it only names who must go.

S3-FIFO (Yang et al., SOSP 2023): a small queue filters what is asked for once, the main queue keeps what is asked for
again, and ghosts remember whom the small queue let go. A hit is one counter, nothing moves. Ours differs in three ways:
room is bytes, not entries; a part grows while it is filled; a prefix reaches main by one hit, because a song that starts at
once matters more than one that ends from cache.

Invariants: `size_bytes` never exceeds `bytes_max`, and no more than `keys_max` keys hold bytes; a pinned key is never a
victim; a victim was present and is gone when it is named; a refusal changes nothing.
"""

import enum
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from reprise.chunks import PREFIX_CHUNKS

SMALL_SHARE = 0.1
GHOST_SHARE = 0.9
HITS_MAX = 3


class Part(enum.Enum):
    """The units of eviction: what a song needs to start, and the rest."""

    PREFIX = "prefix"
    TAIL = "tail"


HITS_TO_MAIN = {Part.PREFIX: 1, Part.TAIL: 2}


class Key(NamedTuple):
    rendition_id: str
    part: Part


def part_of(chunk: int) -> Part:
    """The part that chunk index `chunk` belongs to."""
    return Part.PREFIX if chunk < PREFIX_CHUNKS else Part.TAIL


@dataclass(frozen=True, slots=True)
class Grown:
    """There is room; `victims` are gone from the policy and their bytes must go too."""

    victims: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Everything that could make room is pinned, or the budget is smaller than the key."""

    missing_bytes: int


@dataclass(slots=True)
class _Item:
    size_bytes: int = 0
    hits: int = 0
    pins: int = 0
    in_main: bool = False


class _Queue:
    """A FIFO that knows its bytes, and how many of its keys hold any."""

    def __init__(self) -> None:
        self.items: OrderedDict[Key, _Item] = OrderedDict()
        self.size_bytes = 0
        self.holding = 0

    def push(self, key: Key, item: _Item) -> None:
        self.items[key] = item
        self.size_bytes += item.size_bytes
        self.holding += item.size_bytes > 0

    def take(self, key: Key) -> _Item:
        item = self.items.pop(key)
        self.size_bytes -= item.size_bytes
        self.holding -= item.size_bytes > 0
        return item

    def oldest(self) -> Key:
        return next(iter(self.items))


class S3Fifo:
    """One tier's policy. `keys_max` bounds what each key costs besides its bytes: a descriptor, an index row."""

    def __init__(self, bytes_max: int, keys_max: int) -> None:
        self.bytes_max = bytes_max
        self.keys_max = keys_max
        self._small = _Queue()
        self._main = _Queue()
        # Out of both queues, so that eviction never has to step over what it may not take.
        self._pinned = _Queue()
        self._ghosts: OrderedDict[Key, int] = OrderedDict()
        self._ghost_bytes = 0

    def __contains__(self, key: Key) -> bool:
        return self._queue_of(key) is not None

    def __len__(self) -> int:
        """How many keys hold bytes."""
        return self._small.holding + self._main.holding + self._pinned.holding

    @property
    def size_bytes(self) -> int:
        return self._small.size_bytes + self._main.size_bytes + self._pinned.size_bytes

    @property
    def pinned_bytes(self) -> int:
        return self._pinned.size_bytes

    def size_of(self, key: Key) -> int:
        """Bytes charged to `key`; 0 when it is absent."""
        queue = self._queue_of(key)
        return queue.items[key].size_bytes if queue else 0

    def grow(self, key: Key, added_bytes: int) -> Grown | Refused:
        """Charges `added_bytes` more to `key`, which may be new, and evicts others until that fits."""
        pinned_bytes, pinned_keys = self._pinned.size_bytes, self._pinned.holding
        if key not in self._pinned.items:
            pinned_bytes, pinned_keys = pinned_bytes + self.size_of(key), pinned_keys + 1
        elif not self.size_of(key):
            pinned_keys += 1
        missing = pinned_bytes + added_bytes - self.bytes_max
        if missing > 0 or pinned_keys > self.keys_max:
            return Refused(max(missing, 0))
        # Held while others go, or it could become its own victim.
        self.pin(key)
        victims = self._make_room(added_bytes, new_keys=0 if self.size_of(key) else 1)
        item = self._pinned.take(key)
        item.size_bytes += added_bytes
        self._pinned.push(key, item)
        self.unpin(key)
        return Grown(victims)

    def touch(self, key: Key) -> None:
        """Counts a hit of `key`, also while it is pinned and still empty: followers of a live fill are hits."""
        queue = self._queue_of(key)
        if queue is not None:
            item = queue.items[key]
            item.hits = min(item.hits + 1, HITS_MAX)

    def pin(self, key: Key) -> None:
        """Keeps `key`, which may be new, until as many `unpin`."""
        queue = self._queue_of(key)
        item = queue.take(key) if queue else _Item(in_main=self._forget_ghost(key))
        item.pins += 1
        self._pinned.push(key, item)

    def unpin(self, key: Key) -> None:
        """Ends one pin. A key without bytes is gone with its last pin; a key that was removed meanwhile is no error."""
        item = self._pinned.items.get(key)
        if item is None:
            return
        item.pins -= 1
        if item.pins:
            return
        self._pinned.take(key)
        if item.size_bytes:
            (self._main if item.in_main else self._small).push(key, item)

    def remove(self, key: Key) -> None:
        """Forgets `key`, pinned or not, and its ghost."""
        queue = self._queue_of(key)
        if queue is not None:
            queue.take(key)
        self._forget_ghost(key)

    def _queue_of(self, key: Key) -> _Queue | None:
        for queue in (self._main, self._small, self._pinned):
            if key in queue.items:
                return queue
        return None

    def _make_room(self, added_bytes: int, new_keys: int) -> tuple[Key, ...]:
        victims: list[Key] = []
        while self.size_bytes + added_bytes > self.bytes_max or len(self) + new_keys > self.keys_max:
            small_is_full = self._small.size_bytes > SMALL_SHARE * self.bytes_max
            if self._small.items and (small_is_full or not self._main.items):
                victim = self._evict_small()
            else:
                victim = self._evict_main()
            if victim is not None:
                victims.append(victim)
        return tuple(victims)

    def _evict_small(self) -> Key | None:
        key = self._small.oldest()
        item = self._small.take(key)
        if item.hits >= HITS_TO_MAIN[key.part]:
            item.hits = 0
            item.in_main = True
            self._main.push(key, item)
            return None
        self._remember_ghost(key, item.size_bytes)
        return key

    def _evict_main(self) -> Key | None:
        key = self._main.oldest()
        item = self._main.take(key)
        if item.hits:
            item.hits -= 1
            self._main.push(key, item)
            return None
        return key

    def _remember_ghost(self, key: Key, size_bytes: int) -> None:
        self._ghosts[key] = size_bytes
        self._ghost_bytes += size_bytes
        while self._ghost_bytes > GHOST_SHARE * self.bytes_max or len(self._ghosts) > self.keys_max:
            self._forget_ghost(next(iter(self._ghosts)))

    def _forget_ghost(self, key: Key) -> bool:
        size_bytes = self._ghosts.pop(key, None)
        if size_bytes is None:
            return False
        self._ghost_bytes -= size_bytes
        return True
