"""Identifiers: their shapes, and how new ones are made. Pure: clock and randomness are arguments."""

import re
import uuid

from reprise.errors import InvalidRequest

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def check_id(value: str, what: str) -> str:
    """Returns `value` when it has the shape of an id; raises InvalidRequest that names `what`."""
    if not _ID.match(value):
        raise InvalidRequest(f"{what} must be 1 to 64 of A-Z a-z 0-9 _ -, not {value[:80]!r}")
    return value


def check_sha256(value: str, what: str) -> str:
    """Returns `value` when it is 64 lower-case hex digits; raises InvalidRequest that names `what`."""
    if not _SHA256.match(value):
        raise InvalidRequest(f"{what} must be 64 lower-case hex digits, not {value[:80]!r}")
    return value


def check_uuid(value: str, what: str) -> uuid.UUID:
    """The UUID that `value` spells in its canonical form; raises InvalidRequest that names `what`."""
    try:
        parsed = uuid.UUID(value)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != value:
        raise InvalidRequest(f"{what} must be a UUID such as 0190c7a2-..., not {value[:80]!r}")
    return parsed


def uuid7(now_unix_ms: int, random_80_bits: int) -> uuid.UUID:
    """A UUIDv7 (RFC 9562, 5.7): sorts by creation time, so that B-tree inserts stay at the right edge."""
    value = (now_unix_ms & (1 << 48) - 1) << 80 | random_80_bits & (1 << 80) - 1
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(3 << 62) | 2 << 62
    return uuid.UUID(int=value)
