"""Where a rendition is at home: rendezvous hashing (Thaler and Ravishankar 1998), weighted. Pure.

Every node gives the same order from the same members and capacities, with no talk between them: balancers and edges mean the
same home, because both ask here. A member's death moves only what it held;
every rendition has its own order of substitutes, so no single neighbour inherits the load.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping


def _unit(rendition_id: str, member: str) -> float:
    """A hash of both in the open interval (0, 1)."""
    digest = hashlib.blake2b(member.encode(), key=rendition_id.encode()[:64], digest_size=8).digest()
    # One bit less than a float holds, so that the half is exact and nothing rounds to 1.
    return ((int.from_bytes(digest, "big") >> 12) + 0.5) / (1 << 52)


def rank(rendition_id: str, members: Iterable[str]) -> list[str]:
    """Members by rendezvous hash, the home first."""
    return sorted(members, key=lambda member: (-_unit(rendition_id, member), member))


def rank_by_capacity(rendition_id: str, capacities: Mapping[str, float]) -> list[str]:
    """Members by weighted rendezvous hash, the home first: each is home to a share proportional to its capacity.

    0 means not known. One that is not known makes all count alike: that leaves nobody out and needs no guess.
    """
    if min(capacities.values(), default=0) <= 0:
        return rank(rendition_id, capacities)
    scores = {member: -capacity / math.log(_unit(rendition_id, member)) for member, capacity in capacities.items()}
    return sorted(scores, key=lambda member: (-scores[member], member))
