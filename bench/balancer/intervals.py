"""Means over seeds with 95 % confidence intervals by the bootstrap (Efron 1979). Pure; the same values give the same interval.

Rules are compared seed by seed, because both saw the same listeners: differences and ratios are taken first and then resampled.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

RESAMPLES = 2_000
TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and where it would lie with other seeds 19 times of 20."""

    mean: float
    low: float
    high: float

    def shown(self, decimals: int) -> str:
        return f"{self.mean:,.{decimals}f} ({self.low:,.{decimals}f} to {self.high:,.{decimals}f})"


def interval(values: Sequence[float]) -> Interval:
    """Of the mean of at least one value."""
    rng = random.Random(len(values))
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    cut = int(TAIL * RESAMPLES)
    return Interval(fmean(values), means[cut], means[-1 - cut])


def differences(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Seed by seed."""
    return [a - b for a, b in zip(ours, theirs, strict=True)]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Seed by seed; nothing over nothing is even."""
    return [a / b if b else (1.0 if not a else float("inf")) for a, b in zip(ours, theirs, strict=True)]
