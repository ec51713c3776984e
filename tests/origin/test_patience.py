"""When to try again, and when to give up."""

import random

from hypothesis import given
from hypothesis import strategies as st

from origin.patience import Patience


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_a_pause_is_never_longer_than_the_cap_nor_than_its_doubling(failures: int, seed: int) -> None:
    pause_s = Patience(pause_base_s=0.05, pause_s_max=0.5).pause_s(failures, random.Random(seed))
    assert 0 <= pause_s <= min(0.5, 0.05 * 2 ** min(failures, 10))


def test_patience_ends_with_the_attempts_or_with_the_silence() -> None:
    patience = Patience(attempts_max=3, total_s_max=2.0)
    assert not patience.exhausted(2, 1.9)
    assert patience.exhausted(3, 0.0)
    assert patience.exhausted(1, 2.0)
