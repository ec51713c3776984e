"""When the scrubber may read next. Pure.

Invariants: over any span of time no more than `bytes_per_s` is read, and one chunk; time that was lost is not made up for; two
rounds begin at least `ROUND_S_MIN` apart, so a small cache is not read again and again.
"""

ROUND_S_MIN = 3600.0


class ScrubPace:
    """`now` is monotonic seconds."""

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._next_read = 0.0
        self._next_round = 0.0

    def round_pause_s(self, now: float) -> float:
        """How long to wait before a round that begins after it."""
        pause_s = max(0.0, self._next_round - now)
        self._next_round = now + pause_s + ROUND_S_MIN
        return pause_s

    def read_pause_s(self, size_bytes: int, now: float) -> float:
        """How long to wait before a read of `size_bytes`, which starts after it."""
        pause_s = max(0.0, self._next_read - now)
        self._next_read = now + pause_s + size_bytes / self._bytes_per_s
        return pause_s
