"""Stops disk writes for a while after one failed: a full or failing disk is no reason to stop serving. Pure."""

RETRY_S = 10.0


class WriteBreaker:
    """Closed: writes go on. Open: none until `RETRY_S` after the last failure; the next success closes it."""

    def __init__(self) -> None:
        self._open = False
        self._retry_at = 0.0

    @property
    def open(self) -> bool:
        return self._open

    def allows(self, now: float) -> bool:
        """Whether a write may be tried."""
        return not self._open or now >= self._retry_at

    def failed(self, now: float) -> bool:
        """A write failed; returns whether this opened the breaker."""
        opened = not self._open
        self._open = True
        self._retry_at = now + RETRY_S
        return opened

    def succeeded(self) -> bool:
        """A write worked; returns whether this closed the breaker."""
        closed = self._open
        self._open = False
        return closed
