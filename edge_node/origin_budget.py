"""How fast prewarming may read from origins: bytes are paid for, and until they are paid the next ones wait. Pure.

One budget for one edge, whoever orders: several balancers that order the same do not add up. It never holds a listener's fill.
"""


class OriginBudget:
    """`bps_max` comes with each payment; of orders with different limits each is held by what all of them have spent."""

    def __init__(self) -> None:
        self._paid_at = 0.0

    def wait_s(self, now: float) -> float:
        """How long until all that was spent is paid."""
        return max(0.0, self._paid_at - now)

    def spend(self, size_bytes: int, bps_max: int, now: float) -> None:
        """Takes so many bytes; a negative number gives back what was taken and not read."""
        self._paid_at = max(self._paid_at, now) + size_bytes * 8 / bps_max
