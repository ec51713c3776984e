"""How many files and sockets a process may have open at once.

The soft limit of most systems is 1,024, for programs that use select(). Ours have a descriptor for each connection and for each
part of a song that is cached, and use epoll, so they take what the hard limit allows.
"""

import resource

OPEN_FILES_MAX = 1 << 20


def raise_limit(wanted: int = OPEN_FILES_MAX) -> None:
    """Raises the soft limit to `wanted`, or as far as the hard limit lets it; never lowers it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < reachable:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
