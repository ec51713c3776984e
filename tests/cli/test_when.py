"""Moments as people type them."""

import pytest

from reprise.cli import when
from reprise.errors import InvalidRequest

NOW = 1_796_083_200_000


@pytest.mark.parametrize(
    ("text", "unix_ms"),
    [
        ("now", 0),
        ("+90s", NOW + 90_000),
        ("+10m", NOW + 600_000),
        ("+2h", NOW + 7_200_000),
        ("+3d", NOW + 259_200_000),
        ("2026-12-01T00:00:01Z", NOW + 1000),
        ("2026-12-01T02:00+01:00", NOW + 3_600_000),
        ("2026-12-02 00:00Z", NOW + 86_400_000),
    ],
)
def test_what_people_type(text: str, unix_ms: int) -> None:
    assert when.parse(text, NOW) == unix_ms


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("tomorrow", "--at must be now, .* not 'tomorrow'"),
        ("+10", "not '\\+10'"),
        ("10m", "not '10m'"),
        ("", "not ''"),
        ("2026-12-24T00:00", "needs a time zone, as in 2026-12-24T00:00Z"),
        ("2026-12-24", "needs a time zone, as in 2026-12-24T00:00Z"),
        ("2026-12-01T00:00Z", "is over"),
        ("1969-01-01T00:00Z", "is over"),
    ],
)
def test_what_cannot_be_meant_is_named_with_what_can(text: str, named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        when.parse(text, NOW)


def test_a_moment_for_people() -> None:
    assert when.text(NOW + 61_000) == "2026-12-01 00:01:01Z"
