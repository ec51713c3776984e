"""How full an edge is: each resource as a share of what there is of it. Pure.

The same thought as the balancer's: the tightest resource decides, so shares are never added up or weighed against each other.
What is promised and what is measured are two views of one NIC, and the larger counts.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

# A loop this late has no time left for a further stream.
LOOP_LAG_S_MAX = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What an edge carries, all its processes together. Rates are of the last seconds."""

    active_streams: int = 0
    stream_limit: int = 1
    tx_bps: int = 0
    committed_bps: int = 0
    capacity_bps: int = 1
    loop_lag_s: float = 0.0
    # Of the cores that its processes can use; libraries have threads of their own, so it may be over 1.
    cpu: float = 0.0
    requests_per_s: float = 0.0
    failures_per_s: float = 0.0
    hit_ratio: float = 0.0
    first_byte_p50_s: float = 0.0

    @property
    def nic(self) -> float:
        """Measured or promised."""
        return max(self.tx_bps, self.committed_bps) / self.capacity_bps

    @property
    def streams(self) -> float:
        return self.active_streams / self.stream_limit

    @property
    def loop_lag(self) -> float:
        return self.loop_lag_s / LOOP_LAG_S_MAX

    @property
    def taken(self) -> float:
        """What listeners take. It moves only when they come or go, as CPU and lag do not."""
        return max(self.nic, self.streams)

    @property
    def utilisation(self) -> float:
        """0 is idle, 1 and above is over."""
        return max(self.taken, self.loop_lag, self.cpu)


def median(counts: Sequence[int], bounds: Sequence[float]) -> float:
    """The median of what was counted in buckets that end at `bounds`, a last one beyond them; 0 when nothing was."""
    half = sum(counts) / 2
    if not half:
        return 0.0
    below = 0
    sums = [below := below + count for count in counts]
    bucket = bisect_left(sums, half)
    if bucket >= len(bounds):
        return float(bounds[-1])
    low = bounds[bucket - 1] if bucket else 0.0
    within = (half - (sums[bucket] - counts[bucket])) / counts[bucket]
    return low + (bounds[bucket] - low) * within
