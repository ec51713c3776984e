"""When a dead process is started again. Pure: `now` is monotonic seconds.

At once after the first death, then later and later while it keeps dying, so that a broken service neither spins nor stays away
for long once it is whole. A process that ran for a while has earned a clean record.
"""

from dataclasses import dataclass

FIRST_PAUSE_S = 0.2
PAUSE_S_MAX = 10.0
STEADY_S = 30.0


@dataclass(frozen=True, slots=True)
class Record:
    """How one process has fared: deaths in a row."""

    deaths: int = 0

    def after_death(self, started: float, now: float) -> "Record":
        """The record after a run from `started` to `now`."""
        return Record(1 if now - started >= STEADY_S else self.deaths + 1)

    @property
    def pause_s(self) -> float:
        """How long to wait before the next start: 0.2 s doubled with each death in a row, at most 10 s."""
        if self.deaths == 0:
            return 0.0
        # The exponent is bounded too: 2 ** 2000 is no float.
        return float(min(PAUSE_S_MAX, FIRST_PAUSE_S * 2 ** min(self.deaths - 1, 16)))
