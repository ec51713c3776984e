"""Which edge a listener asks next, and from which byte. Pure: randomness is an argument, there is no clock.

A listener has an ordered list of candidates from a balancer. Each is asked at most once per list, always for the bytes that are
still missing. When the list is used up, a balancer is asked again with the edges that failed. When none answers, the last list
is as good as it gets, and its edges are asked once more: one that was restarted may be back. Asking again without a byte in
between is bounded, and its pauses grow.

Invariants: the offset only grows, and by exactly the bytes that were delivered; progress earns patience (the count of vain
rounds starts again); `Done` comes if and only if the offset is the size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

VAIN_ROUNDS_MAX = 6
PAUSE_S = 0.2
PAUSE_S_MAX = 3.0
FAILED_IDS_MAX = 16


@dataclass(frozen=True, slots=True)
class Candidate:
    """An edge that may be asked, with the grant for it."""

    edge_id: str
    grpc_address: str
    http_url: str
    media_url: str
    grant: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """Ask this edge for the bytes from `offset` on."""

    candidate: Candidate
    offset: int


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Wait, then ask a balancer for a new list, naming the edges that failed."""

    failed_edge_ids: tuple[str, ...]
    pause_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """There is no way on: `reasons` are the last ones."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """Every byte was delivered."""


Step = Attempt | AskAgain | GiveUp | Done


@dataclass(slots=True)
class Failover:
    """The way of one listener through one rendition of `size` bytes."""

    size: int
    offset: int = 0
    _queue: list[Candidate] = field(default_factory=list)
    # As the last balancer that answered gave it.
    _list: tuple[Candidate, ...] = ()
    # The latest last, each once.
    _failed: list[str] = field(default_factory=list)
    _reasons: list[str] = field(default_factory=list)
    _vain_rounds: int = 0

    def routed(self, candidates: Sequence[Candidate]) -> None:
        """A balancer's list, best first."""
        self._list = tuple(candidates)
        self._queue = list(candidates)

    def unrouted(self, reason: str) -> None:
        """No balancer answered."""
        self._note(reason)
        self._queue = list(self._list)

    def next(self, jitter: float) -> Step:
        """What to do now; `jitter` is from 0 to 1."""
        if self.offset == self.size:
            return Done()
        if self._queue:
            return Attempt(self._queue[0], self.offset)
        if self._vain_rounds >= VAIN_ROUNDS_MAX:
            return GiveUp(tuple(self._reasons[-3:]))
        # The first new list is wanted at once: the song stands still.
        pause_s = min(PAUSE_S_MAX, PAUSE_S * 2**self._vain_rounds) * (0.5 + jitter / 2) if self._vain_rounds else 0.0
        self._vain_rounds += 1
        return AskAgain(tuple(self._failed), pause_s)

    def delivered(self, count: int) -> None:
        """`count` more bytes came from the edge being asked."""
        if not 0 < count <= self.size - self.offset:
            raise ValueError(f"{count} bytes delivered at {self.offset} of {self.size}")
        self.offset += count
        self._vain_rounds = 0

    def failed(self, reason: str) -> None:
        """The edge being asked gave no more bytes than it delivered."""
        candidate = self._queue.pop(0)
        if candidate.edge_id in self._failed:
            self._failed.remove(candidate.edge_id)
        self._failed = [*self._failed, candidate.edge_id][-FAILED_IDS_MAX:]
        self._note(f"{candidate.edge_id}: {reason}")

    def refused(self, reason: str) -> None:
        """A balancer answered that there is no edge for this song now."""
        self._note(reason)

    def _note(self, reason: str) -> None:
        if reason not in self._reasons:
            self._reasons.append(reason)
        del self._reasons[:-3]
