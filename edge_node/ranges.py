"""HTTP ranges and conditions for immutable bytes, as RFC 9110 sections 13 and 14 say. Pure.

A rendition's ETag is strong and equals its id, so a validator either matches for ever or never.
"""

import re
from dataclasses import dataclass

from reprise.chunks import ByteRange

_SPEC = re.compile(r"(\d{0,19})-(\d{0,19})\Z")


@dataclass(frozen=True, slots=True)
class Whole:
    """200 with everything."""


@dataclass(frozen=True, slots=True)
class Partial:
    """206 with these bytes."""

    range: ByteRange


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """416."""


@dataclass(frozen=True, slots=True)
class NotModified:
    """304."""


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """412."""


Answer = Whole | Partial | Unsatisfiable | NotModified | PreconditionFailed


def evaluate(method: str, headers: dict[str, str], etag: str, size_bytes: int) -> Answer:
    """What a GET or HEAD of a rendition of `size_bytes` with quoted `etag` is answered with."""
    if_match = headers.get("if-match")
    if if_match is not None and not _matches(if_match, etag, weak=False):
        return PreconditionFailed()
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None and _matches(if_none_match, etag, weak=True):
        return NotModified()
    wanted = headers.get("range")
    if wanted is None or method != "GET":
        return Whole()
    if_range = headers.get("if-range")
    if if_range is not None and if_range.strip() != etag:
        return Whole()
    return _range(wanted, size_bytes)


def _range(header: str, size_bytes: int) -> Answer:
    """A header that is malformed, of another unit or asks for several ranges is ignored (14.2): 200 with everything."""
    unit, equals, spec = header.partition("=")
    match = _SPEC.match(spec.strip())
    if unit.strip().lower() != "bytes" or not equals or match is None or match.group(0) == "-":
        return Whole()
    first, last = match.groups()
    if not first:
        length = min(int(last), size_bytes)
        return Partial(ByteRange(size_bytes - length, size_bytes)) if length else Unsatisfiable()
    start = int(first)
    if last and int(last) < start:
        return Whole()
    if start >= size_bytes:
        return Unsatisfiable()
    return Partial(ByteRange(start, min(int(last) + 1, size_bytes) if last else size_bytes))


def _matches(header: str, etag: str, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    for candidate in header.split(","):
        tag = candidate.strip()
        if weak:
            tag = tag.removeprefix("W/")
        if tag == etag:
            return True
    return False
