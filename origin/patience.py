"""When to try S3 again, and when to give up. Pure.

Full jitter (the pause is uniform between nothing and a doubling cap), so that origins which failed together do not return
together.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of one read: `idle_s_max` of silence ends an attempt, `total_s_max` without progress ends the read."""

    idle_s_max: float = 1.5
    total_s_max: float = 3.0
    attempts_max: int = 4
    pause_base_s: float = 0.05
    pause_s_max: float = 0.5

    def exhausted(self, failures: int, silent_s: float) -> bool:
        """Whether to give up after `failures` in a row and `silent_s` seconds since the last progress."""
        return failures >= self.attempts_max or silent_s >= self.total_s_max

    def pause_s(self, failures: int, rng: random.Random) -> float:
        """How long to wait after the given count of failures in a row (1 is the first)."""
        return rng.uniform(0, min(self.pause_s_max, self.pause_base_s * 2 ** min(failures, 16)))
