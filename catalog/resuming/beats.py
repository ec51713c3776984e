"""A heartbeat as a value, and as the text that Valkey keeps of it. Pure.

The text begins with epoch and sequence in fixed width, so that comparing texts compares places: the scripts in Valkey need no
more, and no number there has more digits than Lua can count.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from catalog.resuming.resume import Point, Pointer, State

# Those of one listener are in one shard, so one trip brings them.
SHARDS = 16
_WIDTHS = (16, 16, 8, 1, 12)


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat of a listener."""

    user_id: str
    point: Point

    @property
    def song(self) -> tuple[str, str]:
        """Of which listener and song it is."""
        return self.user_id, self.point.song_id

    @property
    def key(self) -> tuple[str, str, str]:
        """Of all with the same one, the newest counts."""
        return self.user_id, self.point.song_id, self.point.device_id


def shard_of(user_id: str) -> int:
    return zlib.crc32(user_id.encode()) % SHARDS


def to_text(point: Point) -> str:
    """What Valkey keeps; all but the ids, which are in its key."""
    fields = (point.epoch, point.sequence, point.position_ms, int(point.finished), point.saved_unix_ms)
    return "".join(f"{field:0{width}x}" for field, width in zip(fields, _WIDTHS, strict=True))


def from_text(text: str, song_id: str, device_id: str) -> Point | None:
    """The point in a text; None when it is not one of ours."""
    if len(text) != sum(_WIDTHS):
        return None
    fields, at = [], 0
    try:
        for width in _WIDTHS:
            fields.append(int(text[at : at + width], 16))
            at += width
    except ValueError:
        return None
    epoch, sequence, position_ms, finished, saved_unix_ms = fields
    return Point(song_id, device_id, position_ms, bool(finished), epoch, sequence, saved_unix_ms)


def laid_over(state: State, points: Iterable[Point]) -> State:
    """The state with heartbeats that are newer than its points. The pointer stays; without one it is at the last of them."""
    merged = dict(state.points)
    for point in points:
        kept = merged.get(point.device_id)
        if kept is None or kept.place < point.place:
            revision, name = (0, "") if kept is None else (kept.revision, kept.device_name)
            merged[point.device_id] = replace(point, revision=revision, device_name=name)
    pointer = state.pointer
    if pointer is None and merged:
        pointer = Pointer(max(merged.values(), key=lambda point: point.saved_unix_ms).device_id, 0)
    return State(pointer, merged)
