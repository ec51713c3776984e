"""Which new listeners leave a region that is loaded, and for which one. Pure.

    share of new sessions that leave: 0 below 80 % of the region's load, all from 95 % on, in between in proportion

Invariants: who leaves depends on the session, so a listener does not go to and fro; when the load grows, those who left before
still leave; nobody is sent to a region that is itself loaded.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from balancer.policy import Policy


@dataclass(frozen=True, slots=True)
class Refuge:
    """Another region, with the capacity that it has left."""

    region: str
    rtt_ms: float
    free_bps: float


def share(load: float, policy: Policy) -> float:
    """The part of a region's new sessions that should go elsewhere, 0 to 1."""
    return min(1.0, max(0.0, (load - policy.spill_from) / (policy.spill_all - policy.spill_from)))


def leaves(session_id: str, share_leaving: float) -> bool:
    """Whether this session is among them."""
    return share_leaving > 0 and _unit(session_id) < share_leaving


def refuge(session_id: str, refuges: Sequence[Refuge], policy: Policy) -> str | None:
    """The region for a session that leaves: of the nearest with room, each in proportion to its room; None without any."""
    roomy = [one for one in refuges if one.free_bps > 0]
    if not roomy:
        return None
    nearest_ms = min(one.rtt_ms for one in roomy)
    near = (one for one in roomy if one.rtt_ms <= nearest_ms + policy.spill_band_ms)
    return max(near, key=lambda one: one.free_bps / -math.log(_unit(f"{session_id}/{one.region}"))).region


def _unit(text: str) -> float:
    """A hash as a number in the open interval (0, 1)."""
    value = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest())
    return (value + 0.5) / (1 << 48)
