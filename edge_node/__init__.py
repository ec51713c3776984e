"""An edge: audio bytes from cache to listeners, and one upstream read for any number of simultaneous misses.

Theory of operation. A rendition is a row of 64 KiB chunks. The *store* keeps verified chunks in RAM (memfd) and on disk; both
are files, so every door sends them by sendfile. A *reader* is a cursor on one rendition: it takes a chunk that is there, or
says which chunk it wants and is woken when that chunk is verified, or when the fill that would bring it has ended. A *fill* is
one upstream read owned by the node, never by a listener: it resumes from another source at the first chunk that is missing.
`coalescing` decides what to read so that no chunk is read twice at a time; `sources` decides from whom: the home edge of the
region (which relays its own fill while it runs), then the next edge, then the origins. `homes` shares the region's disks out: a
song is written to disk at its home only.

    doors (http_door, web_door, servicer) ── Reader ── live (one per rendition in use) ── fill ── upstream
                                               │                                            │
                                               └────────────────── store ◀──────────────────┘

With `workers` from 2 on the HTTP doors run in processes of their own, on leases of the store: see `workers`.

Nothing here trusts an upstream: every chunk is checked against the signed manifest before it enters the store.
"""
