"""How loaded an edge is. Pure.

Utilisation is the tightest of its resources, never a sum: an edge short of one thing has nothing to offer of the others.

Invariant: what was *measured* or *promised by us* (traffic, lag, CPU, pending grants) only orders edges; only what the edge
itself *committed* (streams, bitrates) makes it full. One download may fill any NIC for a moment, and anyone may ask for
routes without playing, and neither may close the mesh.
"""

from balancer.edges import EdgeIdentity, EdgeLoad
from balancer.ledger import Expected

# A loop this late has no time left for a further stream; 0.9 keeps one bad sample below a full edge.
LOOP_LAG_MS_MAX = 50
LOOP_LAG_SHARE = 0.9


def utilisation(identity: EdgeIdentity, load: EdgeLoad, expected: Expected) -> float:
    """0 is idle, 1 and above is over."""
    return max(
        committed(identity, load, expected),
        (load.nic_tx_bps + expected.bps) / identity.nic_capacity_bps,
        strain(load),
    )


def committed(identity: EdgeIdentity, load: EdgeLoad, expected: Expected) -> float:
    """The part of it that listeners make who were sent to the edge; what it relays to other edges is not in here."""
    return max(
        (load.active_streams + expected.streams) / identity.stream_limit,
        (load.committed_bps + expected.bps) / identity.nic_capacity_bps,
    )


def strain(load: EdgeLoad) -> float:
    """The part of it that is not the NIC's: how late and how busy its processes are."""
    return max(load.loop_lag_ms / LOOP_LAG_MS_MAX * LOOP_LAG_SHARE, load.cpu)


def is_full(identity: EdgeIdentity, load: EdgeLoad) -> bool:
    """Whether what runs on the edge already takes all of it."""
    return load.active_streams >= identity.stream_limit or load.committed_bps >= identity.nic_capacity_bps
