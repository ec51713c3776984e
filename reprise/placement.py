"""Where a rendition is at home: rendezvous hashing (Thaler and Ravishankar 1998), weighted. Pure.

Every node gives the same order from the same members, with no talk between them. A member's death moves only what it held;
every rendition has its own order of substitutes, so no single neighbour inherits the load.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping


def _unit(rendition_id: str, member: str) -> float:
    """A hash of both in the open interval (0, 1)."""
    digest = hashlib.blake2b(member.encode(), key=rendition_id.encode()[:64], digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> 11) + 0.5) / (1 << 53)


def rank(rendition_id: str, members: Iterable[str]) -> list[str]:
    """Members by rendezvous hash, the home first."""
    return sorted(members, key=lambda member: (-_unit(rendition_id, member), member))


def rank_weighted(rendition_id: str, weights: Mapping[str, float]) -> list[str]:
    """Members by weighted rendezvous hash: each is home to a share proportional to its weight. Weight 0 is left out."""
    scores = {m: -w / math.log(_unit(rendition_id, m)) for m, w in weights.items() if w > 0}
    return sorted(scores, key=lambda member: (-scores[member], member))
