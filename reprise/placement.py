"""Where a rendition is at home: rendezvous hashing (Thaler and Ravishankar 1998), weighted. Pure.

Every node gives the same order from the same members and capacities, with no talk between them: balancers and edges mean the
same home, because both ask here. A member's death moves only what it held;
every rendition has its own order of substitutes, so no single neighbour inherits the load.

All members' hashes are computed at once, as lanes of one long integer: a hundred members take 10 µs, one at a time 100 µs.
"""

import hashlib
import math
import struct
from collections.abc import Iterable, Mapping

_HASH_BYTES, _LANE_BYTES = 8, 16
_HASH_BITS_KEPT = 52
# The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
_FIRST_FACTOR, _SECOND_FACTOR = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Members:
    """Members with their capacities, prepared for many renditions.

    A capacity of 0 means not known. One that is not known makes all count alike: that leaves nobody out and needs no guess.
    """

    def __init__(self, capacities: Mapping[str, float]) -> None:
        known = min(capacities.values(), default=0) > 0
        self._names = sorted(capacities)
        self._places: dict[float, list[int]] = {}
        for place, name in enumerate(self._names):
            self._places.setdefault(capacities[name] if known else 1, []).append(place)
        # A lane is twice as wide as what it holds: a product stays in its lane.
        self._keys = int.from_bytes(
            b"".join(_key(name).to_bytes(_LANE_BYTES, "little") for name in self._names), "little"
        )
        self._ones = int.from_bytes((1).to_bytes(_LANE_BYTES, "little") * len(self._names), "little")
        self._lows = self._ones * ((1 << 8 * _HASH_BYTES) - 1)
        self._unpack = struct.Struct("<" + f"Q{_LANE_BYTES - _HASH_BYTES}x" * len(self._names)).unpack

    def __len__(self) -> int:
        return len(self._names)

    def order(self, rendition_id: str, count: int | None = None) -> list[str]:
        """The members in this rendition's order, the home first; only the first `count` of them if it is given.

        Each is home to a share proportional to its capacity.
        """
        if not self._names:
            return []
        hashes, names = self._hashes(rendition_id), self._names
        if len(self._places) == 1:
            # With equal capacities the order is that of the hashes: no logarithms.
            return [name for _, name in sorted(zip(hashes, names, strict=True), reverse=True)[:count]]
        ranked = [
            (capacity / -math.log(_unit(value)), value, names[place])
            for capacity, places in self._places.items()
            for value, place in sorted([(hashes[place], place) for place in places], reverse=True)[:count]
        ]
        ranked.sort(reverse=True)
        return [name for _, _, name in ranked[:count]]

    def _hashes(self, rendition_id: str) -> tuple[int, ...]:
        """A hash of the rendition and each member: 64 bits each, in the order of the names."""
        lows = self._lows
        lanes = self._keys ^ _key(rendition_id) * self._ones
        lanes = ((lanes ^ lanes >> 30) & lows) * _FIRST_FACTOR & lows
        lanes = ((lanes ^ lanes >> 27) & lows) * _SECOND_FACTOR & lows
        lanes = (lanes ^ lanes >> 31) & lows
        return self._unpack(lanes.to_bytes(_LANE_BYTES * len(self._names), "little"))


def rank(rendition_id: str, members: Iterable[str]) -> list[str]:
    """Members by rendezvous hash, the home first."""
    return Members(dict.fromkeys(members, 1)).order(rendition_id)


def rank_by_capacity(rendition_id: str, capacities: Mapping[str, float]) -> list[str]:
    """Members by weighted rendezvous hash, as `Members` gives it."""
    return Members(capacities).order(rendition_id)


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_HASH_BYTES).digest(), "little")


def _unit(value: int) -> float:
    """A hash as a number in the open interval (0, 1)."""
    # One bit less than a float holds, so that the half is exact and nothing rounds to 1.
    return ((value >> 64 - _HASH_BITS_KEPT) + 0.5) / (1 << _HASH_BITS_KEPT)
