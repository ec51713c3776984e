"""What stays in a cache tier: S3-FIFO over the parts of renditions, counted in bytes. Pure: it only names who must go.

S3-FIFO (Yang et al., SOSP 2023): a small queue filters what is asked for once, the main queue keeps what is asked for
again, and ghosts remember whom the small queue let go. A hit is one counter, nothing moves. Ours differs in four ways:
room is bytes, not entries; a part grows while it is filled; a prefix reaches main by one hit, because a song that starts at
once matters more than one that ends from cache; the small queue is half as long, because songs that are asked for again are
mostly asked for again soon (`python -m bench.cache` compares it with the original).

A pin is for a fill: nobody has read its bytes yet, so they stay whatever happens. A hold is for an open reader: it goes
last, but it goes, or as many listeners as songs fit in RAM would lock everybody else out.

Invariants: `size_bytes` never exceeds `bytes_max`, and no more than `keys_max` keys have bytes; a pinned key is never a
victim, a held one only when nothing else is left; a victim had bytes and has none when it is named; a refusal changes
nothing.
"""

import enum
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from reprise.chunks import PREFIX_CHUNKS

SMALL_SHARE = 0.05
GHOST_SHARE = 0.9
HITS_MAX = 3


class Part(enum.StrEnum):
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
    # The request that brings a key is no hit of it.
    hits: int = -1
    pins: int = 0
    holds: int = 0
    in_main: bool = False
    queue: "_Queue | None" = None


class _Queue:
    """A FIFO that knows its bytes."""

    def __init__(self) -> None:
        self._items: OrderedDict[Key, _Item] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def push(self, key: Key, item: _Item) -> None:
        self._items[key] = item
        self.size_bytes += item.size_bytes
        item.queue = self

    def take(self, key: Key) -> _Item:
        item = self._items.pop(key)
        self.size_bytes -= item.size_bytes
        item.queue = None
        return item

    def take_oldest(self) -> tuple[Key, _Item]:
        key = next(iter(self._items))
        return key, self.take(key)


class S3Fifo:
    """One tier's policy. `keys_max` bounds what each key costs besides its bytes: a descriptor, an index row."""

    def __init__(self, bytes_max: int, keys_max: int) -> None:
        self.bytes_max = bytes_max
        self.keys_max = keys_max
        # Every key that has bytes, a pin or a hold. Those without bytes are in no queue.
        self._items: dict[Key, _Item] = {}
        self._small = _Queue()
        self._main = _Queue()
        # Apart from the two, so that eviction never has to step over what it may not take.
        self._held = _Queue()
        self._pinned = _Queue()
        self._ghosts: OrderedDict[Key, int] = OrderedDict()
        self._ghost_bytes = 0
        self._has_evicted = False

    def __contains__(self, key: Key) -> bool:
        return self.size_of(key) > 0

    def __len__(self) -> int:
        """How many keys have bytes."""
        return len(self._small) + len(self._main) + len(self._held) + len(self._pinned)

    @property
    def size_bytes(self) -> int:
        return self._small.size_bytes + self._main.size_bytes + self._held.size_bytes + self._pinned.size_bytes

    @property
    def pinned_bytes(self) -> int:
        return self._pinned.size_bytes

    def size_of(self, key: Key) -> int:
        """Bytes charged to `key`; 0 when it is absent."""
        item = self._items.get(key)
        return item.size_bytes if item else 0

    def grow(self, key: Key, added_bytes: int) -> Grown | Refused:
        """Charges `added_bytes` more to `key`, which may be new, and evicts others until that fits."""
        item = self._items.get(key) or _Item()
        others_bytes, others = self._pinned.size_bytes, len(self._pinned)
        if item.queue is self._pinned:
            others_bytes, others = others_bytes - item.size_bytes, others - 1
        missing = others_bytes + item.size_bytes + added_bytes - self.bytes_max
        if missing > 0 or others >= self.keys_max:
            return Refused(max(missing, 0))
        # In no queue while others go, or it could become its own victim.
        self._leave(key, item)
        victims = self._make_room(item.size_bytes + added_bytes, keys=1)
        item.size_bytes += added_bytes
        self._place(key, item)
        return Grown(victims)

    def give_up(self, size_bytes: int) -> tuple[Key, ...]:
        """Evicts at least `size_bytes`, or all that is not pinned: for a disk with less room than its budget."""
        return self._make_room(self.bytes_max - max(self.size_bytes - size_bytes, self._pinned.size_bytes), keys=0)

    def touch(self, key: Key) -> None:
        """Counts a request for `key`, also while it is pinned or held and still empty; all but the first one are hits.

        So each request touches once, at any time: the one that starts a fill, and those that follow it.
        """
        item = self._items.get(key)
        if item is not None:
            item.hits = min(item.hits + 1, HITS_MAX)

    def admit(self, key: Key) -> None:
        """Takes `key` for one that was asked for as often as is counted, so that it stays though nobody has asked yet."""
        item = self._items.get(key)
        if item is not None:
            self._leave(key, item)
            item.in_main, item.hits = True, HITS_MAX
            self._place(key, item)

    def pin(self, key: Key) -> None:
        """Keeps `key`, which may be new, until as many `unpin`."""
        self._change(key, pins=1)

    def unpin(self, key: Key) -> None:
        """Ends one `pin`; no error for a key that was removed meanwhile."""
        if key in self._items:
            self._change(key, pins=-1)

    def hold(self, key: Key) -> None:
        """Evicts `key`, which may be new, after all that is not held, until as many `unhold`."""
        self._change(key, holds=1)

    def unhold(self, key: Key) -> None:
        """Ends one `hold`; no error for a key that was removed meanwhile."""
        if key in self._items:
            self._change(key, holds=-1)

    def clear(self, key: Key) -> None:
        """The bytes of `key` are gone; its pins and holds stay."""
        item = self._items.get(key)
        if item is not None:
            self._leave(key, item)
            item.size_bytes = 0
            self._place(key, item)

    def remove(self, key: Key) -> None:
        """Forgets `key` with its pins, holds and ghost."""
        item = self._items.pop(key, None)
        if item is not None:
            self._leave(key, item)
        self._forget_ghost(key)

    def _change(self, key: Key, pins: int = 0, holds: int = 0) -> None:
        item = self._items.get(key) or _Item()
        self._leave(key, item)
        item.pins += pins
        item.holds += holds
        assert item.pins >= 0
        assert item.holds >= 0
        self._place(key, item)

    @staticmethod
    def _leave(key: Key, item: _Item) -> None:
        if item.queue is not None:
            item.queue.take(key)

    def _place(self, key: Key, item: _Item) -> None:
        """Puts `item` into the queue of its state, as the newest there."""
        if not (item.size_bytes or item.pins or item.holds):
            self._items.pop(key, None)
            return
        self._items[key] = item
        # Until something has to go for the first time there is nothing to filter: what the small queue has no room for stays.
        overflow = not self._has_evicted and self._small.size_bytes > SMALL_SHARE * self.bytes_max
        item.in_main = self._forget_ghost(key) or overflow or item.in_main
        if not item.size_bytes:
            return
        if item.pins:
            self._pinned.push(key, item)
        elif item.holds:
            self._held.push(key, item)
        elif item.in_main:
            self._main.push(key, item)
        else:
            self._small.push(key, item)

    def _make_room(self, added_bytes: int, keys: int) -> tuple[Key, ...]:
        victims: list[Key] = []
        while self.size_bytes + added_bytes > self.bytes_max or len(self) + keys > self.keys_max:
            main_is_full = self._main.size_bytes > (1 - SMALL_SHARE) * self.bytes_max
            if self._small and not main_is_full:
                victim = self._evict_small()
            elif self._main:
                victim = self._evict_main()
            else:
                victim = self._evict_held()
            if victim is not None:
                victims.append(victim)
        self._has_evicted = self._has_evicted or bool(victims)
        return tuple(victims)

    def _evict_small(self) -> Key | None:
        key, item = self._small.take_oldest()
        if item.hits >= HITS_TO_MAIN[key.part]:
            item.in_main = True
            self._main.push(key, item)
            return None
        del self._items[key]
        self._remember_ghost(key, item.size_bytes)
        return key

    def _evict_main(self) -> Key | None:
        key, item = self._main.take_oldest()
        if item.hits > 0:
            item.hits -= 1
            self._main.push(key, item)
            return None
        del self._items[key]
        return key

    def _evict_held(self) -> Key:
        key, item = self._held.take_oldest()
        # Stays known without bytes: its holders will still end their holds.
        item.size_bytes = 0
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
