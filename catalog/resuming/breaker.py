"""Leaves a server alone for a while after it did not answer. Pure."""

PAUSE_S = 2.0


class Breaker:
    """Closed, calls go on. Open, there is one call a pause, which finds out; the first answer closes it."""

    def __init__(self) -> None:
        self._open = False
        self._try_at = 0.0

    @property
    def open(self) -> bool:
        return self._open

    def allows(self, now: float) -> bool:
        """Whether to call now. Who is told so while it is open is the only one for a pause."""
        if not self._open:
            return True
        if now < self._try_at:
            return False
        self._try_at = now + PAUSE_S
        return True

    def failed(self, now: float) -> bool:
        """A call failed; whether this opened the breaker."""
        opened = not self._open
        self._open = True
        self._try_at = now + PAUSE_S
        return opened

    def succeeded(self) -> bool:
        """A call was answered; whether this closed the breaker."""
        closed = self._open
        self._open = False
        return closed
