"""How much something was played lately: plays fade with a half-life of 30 days. Pure.

Forward decay (Cormode, Shkapenyuk, Srivastava, Xu: "Forward Decay", ICDE 2009): a play at time t counts 2^(t / half-life)
from a fixed epoch on, for ever. Everything fades at one rate, so the order of two sums never changes by itself and an index
over them never has to be rewritten. Sums grow without bound, hence their log2, the *score*: a half-life later, as many plays
score 1 more.
"""

import math

HALF_LIFE_S = 30 * 86_400
# 2026-01-01T00:00Z. Changing it changes every score.
EPOCH_UNIX_S = 1_767_225_600
# A play counts when somebody heard this much, or half of a shorter song.
PLAY_MS = 30_000


def score_of(plays: float, unix_s: float) -> float:
    """The score of so many plays at one moment; they are above 0."""
    return math.log2(plays) + (unix_s - EPOCH_UNIX_S) / HALF_LIFE_S


def plays_at(score: float, unix_s: float) -> float:
    """What is left at `unix_s` of the plays that made `score`."""
    return float(2.0 ** min(1_000.0, score - (unix_s - EPOCH_UNIX_S) / HALF_LIFE_S))


def combined(one: float, other: float) -> float:
    """The score of the plays of both."""
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else high + math.log2(1 + 2.0 ** (low - high))


def is_play(position_ms: int, duration_ms: int) -> bool:
    """Whether who has come so far has played the song; a `duration_ms` of 0 is unknown."""
    return position_ms >= min(PLAY_MS, duration_ms / 2 if duration_ms else PLAY_MS)
