"""Round trips that listeners reported, by the network they came from: what the next listener from there will see. Pure.

Each household has one voice in its network, smoothed over its own reports; the network's figure for a region is the median
voice, and there is none before three households spoke. So one liar moves nothing, and nobody moves another network.

Invariants: a figure lies within what was reported; one that nobody of the network repeated for an hour is not used; at most
`networks_max` networks are kept, the last taught ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

# At most 100 MB, when five households of each were heard about two regions.
NETWORKS_MAX = 50_000
HEARD_TTL_S = 3_600.0
VOICES_MIN = 3
# The last heard. Five outvote two liars.
VOICES_MAX = 5
SMOOTHING = 0.3


@dataclass(frozen=True, slots=True)
class _Voice:
    rtt_ms: float
    at: float


@dataclass(slots=True)
class _Network:
    """By region the voices of its households, the last heard last, and their median where there are enough."""

    at: float = 0.0
    voices: dict[str, dict[int, _Voice]] = field(default_factory=dict)
    # Each as old as the youngest voice in it.
    medians: dict[str, _Voice] = field(default_factory=dict)


class Networks:
    """What was learned; `forgot` is called for each network dropped because there were too many."""

    def __init__(self, forgot: Callable[[], None], networks_max: int = NETWORKS_MAX) -> None:
        self._forgot = forgot
        self._networks_max = networks_max
        # The last taught last.
        self._networks: dict[int, _Network] = {}

    def __len__(self) -> int:
        return len(self._networks)

    def learn(self, network: int, household: int, region: str, rtt_ms: float, now: float) -> None:
        """One report of one household."""
        known = self._networks.pop(network, None) or _Network()
        self._networks[network] = known
        known.at = now
        voices = known.voices.setdefault(region, {})
        before = voices.pop(household, None)
        fresh = before is not None and before.at > now - HEARD_TTL_S
        smoothed = before.rtt_ms + SMOOTHING * (rtt_ms - before.rtt_ms) if before and fresh else rtt_ms
        voices[household] = _Voice(smoothed, now)
        if len(voices) > VOICES_MAX:
            del voices[next(iter(voices))]
        _settle(known, now)
        self._forget(now)

    def of(self, network: int | None, now: float) -> dict[str, float]:
        """Region -> milliseconds, for the regions that enough households of the network were heard about."""
        known = self._networks.get(network) if network is not None else None
        if known is None:
            return {}
        return {region: voice.rtt_ms for region, voice in known.medians.items() if voice.at > now - HEARD_TTL_S}

    def _forget(self, now: float) -> None:
        while (oldest := next(iter(self._networks.values()), None)) and oldest.at <= now - HEARD_TTL_S:
            del self._networks[next(iter(self._networks))]
        while len(self._networks) > self._networks_max:
            del self._networks[next(iter(self._networks))]
            self._forgot()


def _settle(network: _Network, now: float) -> None:
    """Drops the voices of an hour ago, and takes the medians of the others."""
    network.medians = {}
    for region, voices in list(network.voices.items()):
        for household in [household for household, voice in voices.items() if voice.at <= now - HEARD_TTL_S]:
            del voices[household]
        if not voices:
            del network.voices[region]
        elif len(voices) >= VOICES_MIN:
            median_ms = sorted(voice.rtt_ms for voice in voices.values())[len(voices) // 2]
            network.medians[region] = _Voice(median_ms, max(voice.at for voice in voices.values()))
