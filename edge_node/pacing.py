"""How fast a long answer leaves: a burst to start with, then a little faster than it is heard. Pure.

Whoever takes a whole song at once would otherwise take it as fast as the network gives it, and may skip it after ten seconds.
"""

from dataclasses import dataclass

from reprise.config import ConfigError
from reprise.http_message import Pace


@dataclass(frozen=True, slots=True)
class Pacing:
    """After `burst_s` seconds of music the rest goes at `factor` times its bitrate; a factor of 0 paces nothing."""

    factor: float = 0.0
    burst_s: float = 10.0

    def __post_init__(self) -> None:
        if self.factor != 0 and not 1 <= self.factor <= 1000:
            raise ConfigError(f"pacing_factor must be 0, which is off, or from 1 to 1000, not {self.factor}")
        if not 0 <= self.burst_s <= 3600:
            raise ConfigError(f"pacing_burst_s must be from 0 to 3600, not {self.burst_s}")

    def of(self, bitrate_bps: int, length_bytes: int) -> Pace | None:
        """The pace of an answer of `length_bytes`; None when nothing of it is held back."""
        burst_bytes = int(self.burst_s * bitrate_bps / 8)
        bytes_per_s = int(self.factor * bitrate_bps / 8)
        return Pace(burst_bytes, bytes_per_s) if bytes_per_s and length_bytes > burst_bytes else None
