"""How much of its share an edge gets that joined lately. Pure.

An edge that joins knows no song: at its full share every listener it gets is a miss. So its weight and its cap grow from a
tenth to the whole in a minute, and songs move to it a few at a time.

Invariants: each edge has a clock of its own, which starts when its boot is first seen and which nobody else's join moves; a
ramp is never 0; an edge that was away and comes back with the same boot goes on where its clock is.

Two kinds of edges do not ramp. Those that came within this balancer's first seconds: it saw nobody's beginning. And those that
hold half of what a median edge of the region holds: they are warm, however young. Where more than half of a region ramps, all
of it is new and there is nobody to spare it for: ramps then count in proportion to the region's mean.
"""

from balancer.policy import DEFAULT, Policy

# Edges find a restarted balancer within this time.
BEGINNING_S = 10.0
WARM_SHARE = 0.5
# Weights move in steps, so that orders are not forgotten all the time.
STEPS = 10


class Ramps:
    """The clocks of all edges."""

    def __init__(self, now: float, policy: Policy = DEFAULT) -> None:
        self._began_at = now
        self._policy = policy
        self._boots: dict[str, str] = {}
        # Only of edges that ramp.
        self._since: dict[str, float] = {}

    def saw(self, edge_id: str, boot_id: str, now: float) -> None:
        """An edge said hello."""
        if self._boots.get(edge_id) == boot_id:
            return
        self._boots[edge_id] = boot_id
        self._since.pop(edge_id, None)
        if now - self._began_at >= BEGINNING_S:
            self._since[edge_id] = now

    def knew(self, edge_id: str, boot_id: str) -> None:
        """An edge that was known before this balancer started."""
        self._boots.setdefault(edge_id, boot_id)

    def forget(self, edge_id: str) -> None:
        self._boots.pop(edge_id, None)
        self._since.pop(edge_id, None)

    def of_region(self, held_bytes: dict[str, int], now: float) -> dict[str, float]:
        """The ramp of each edge of a region, given what each holds in its cache."""
        if self._since.keys().isdisjoint(held_bytes):
            return dict.fromkeys(held_bytes, 1.0)
        self._end_warm(held_bytes)
        ramps = {edge_id: self._ramp(edge_id, now) for edge_id in held_bytes}
        if sum(ramp < 1 for ramp in ramps.values()) * 2 > len(ramps):
            mean = sum(ramps.values()) / len(ramps)
            return {edge_id: min(1.0, ramp / mean) for edge_id, ramp in ramps.items()}
        return ramps

    def _ramp(self, edge_id: str, now: float) -> float:
        since = self._since.get(edge_id)
        if since is None:
            return 1.0
        ramp = max(self._policy.ramp_first, (now - since) / self._policy.ramp_s)
        if ramp >= 1:
            del self._since[edge_id]
        return min(1.0, ramp)

    def _end_warm(self, held_bytes: dict[str, int]) -> None:
        settled = [held for edge_id, held in held_bytes.items() if edge_id not in self._since]
        warm = sorted(settled)[len(settled) // 2] * WARM_SHARE if settled else 0
        for edge_id in self._since.keys() & held_bytes.keys():
            if 0 < warm <= held_bytes[edge_id]:
                del self._since[edge_id]


def weights(capacities: dict[str, int], ramps: dict[str, float]) -> dict[str, float]:
    """What the orders go by: capacity times the ramp, which moves in steps of a tenth here."""
    return {edge_id: capacity * _step(ramps[edge_id]) for edge_id, capacity in capacities.items()}


def _step(ramp: float) -> float:
    return max(1, round(ramp * STEPS)) / STEPS
