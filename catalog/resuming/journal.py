"""How spooled actions are written to a file, so that what was cut short is noticed. Pure.

A record is its length and its CRC-32, both in four bytes, little-endian, and a CBOR list. What follows a record that is not
whole was never answered: a file is appended to and synced in order.
"""

import struct
import zlib
from dataclasses import dataclass

import cbor2

from catalog.resuming.resume import Point, Save

_HEAD = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class Spooled:
    """An action of a listener; its point's `saved_unix_ms` is when it was spooled."""

    user_id: str
    save: Save


def to_record(spooled: Spooled) -> bytes:
    save, point = spooled.save, spooled.save.point
    ids = [spooled.user_id, point.song_id, point.device_id]
    state = [point.epoch, point.sequence, point.position_ms, point.finished, point.saved_unix_ms]
    body: bytes = cbor2.dumps([*ids, *state, save.base_revision, save.late])
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def from_records(data: bytes) -> tuple[list[Spooled], int]:
    """The records at the start of `data`, and how many bytes behind them make no whole record."""
    records, at = [], 0
    while len(data) - at >= _HEAD.size:
        size, crc = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + size]
        if size == 0 or len(body) < size or zlib.crc32(body) != crc:
            break
        records.append(_spooled(body))
        at += _HEAD.size + size
    return records, len(data) - at


def _spooled(body: bytes) -> Spooled:
    # What carries our CRC is what we encoded.
    user_id, song_id, device_id, epoch, sequence, position_ms, finished, saved_unix_ms, base, late = cbor2.loads(body)
    point = Point(song_id, device_id, position_ms, finished, epoch, sequence, saved_unix_ms)
    return Spooled(user_id, Save(point, base_revision=base, late=late))
