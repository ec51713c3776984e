"""Several processes on one edge, so that it serves with more than one core: one node process and N workers.

    listeners ──one HTTP port, a listening socket per worker──▶ worker 1..N      doors, express lane, gates
                                                                   │  ▲
                                       touches, errands, figures   │  │  descriptors of parts, progress, purges
                                                                   ▼  │
    gRPC, balancers, origins, peers ◀──────────────────────── node process       store, fills, reports, metrics page

The node process owns the store and everything upstream. A worker *leases* parts: it is given the descriptor of a part's file
with the bits of what is in it, and serves hits without asking anybody. For what it lacks it sends the node process on an
*errand*, which joins or starts the one fill of the node, and is told chunk by chunk what has come. Streams are counted over all
processes, and figures are added up, so that to everybody outside this is one edge.

Start reading at `messages` (what they say to each other), then `lessor` (the node process's side of the store) and `lease` (the
worker's), then `crew` (starting, counting, purging, restarting).

Invariants: a chunk is brought once per node, whichever workers want it; a worker never writes to a part; what the store lets go
is told to every worker that leases it before the call that let it go returns; a worker that is lost takes nothing along but
its own connections.
"""
