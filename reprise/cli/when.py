"""Moments as people type them. Pure: the time is an argument."""

import re
from datetime import UTC, datetime, timedelta

from reprise.errors import InvalidRequest

_IN = re.compile(r"\+(\d{1,9})([smhd])\Z")
_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse(text: str, now_unix_ms: int, what: str = "--at") -> int:
    """The moment in Unix milliseconds; 0 for "now". Raises InvalidRequest that names `what`, also for a moment that is over."""
    if text == "now":
        return 0
    relative = _IN.match(text)
    if relative:
        return now_unix_ms + int(relative[1]) * _MS[relative[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{what} must be now, +10m (s, m, h, d) or 2026-12-01T00:00Z, not {text[:40]!r}") from None
    if moment.tzinfo is None:
        raise InvalidRequest(f"{what} {text} needs a time zone, as in {text}{'' if 'T' in text else 'T00:00'}Z")
    unix_ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    if unix_ms <= now_unix_ms:
        raise InvalidRequest(f"{what} {text} is over: give a moment to come, or now")
    return unix_ms


def text(unix_ms: int) -> str:
    """For people, in UTC, to the second."""
    return (_EPOCH + timedelta(milliseconds=unix_ms)).strftime("%Y-%m-%d %H:%M:%SZ")
