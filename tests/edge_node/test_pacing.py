"""The pace of an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.pacing import Pacing
from reprise.config import ConfigError


@given(st.floats(1, 100), st.floats(0, 60), st.integers(8_000, 10_000_000), st.integers(0, 1 << 30))
def test_only_what_is_longer_than_the_burst_is_paced_and_never_below_its_bitrate(
    factor: float, burst_s: float, bitrate_bps: int, length_bytes: int
) -> None:
    pace = Pacing(factor, burst_s).of(bitrate_bps, length_bytes)
    if pace is None:
        assert length_bytes * 8 <= burst_s * bitrate_bps + 8
    else:
        assert pace.burst_bytes < length_bytes
        assert pace.bytes_per_s * 8 > bitrate_bps - 8


def test_a_factor_of_zero_paces_nothing_and_neither_does_an_unknown_bitrate() -> None:
    assert Pacing(0, 10).of(160_000, 1 << 30) is None
    assert Pacing(1.5, 10).of(0, 1 << 30) is None


@pytest.mark.parametrize(("factor", "burst_s"), [(0.5, 10), (-1, 10), (2000, 10), (1.5, -1), (float("nan"), 1)])
def test_what_makes_no_sense_is_refused_by_name(factor: float, burst_s: float) -> None:
    with pytest.raises(ConfigError, match="pacing_"):
        Pacing(factor, burst_s)
