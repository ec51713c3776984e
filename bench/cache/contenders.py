"""One trace through one policy: ours as production runs it, and libCacheSim's.

libCacheSim is GPL and comes with the `bench` extra only: it is imported when this benchmark runs, and by nothing else.
"""

import importlib
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from bench.cache.traces import Trace
from edge_node.eviction import Key, Part, S3Fifo

OURS = "Reprise"
# libCacheSim's names. Belady knows the future: no policy can be expected to reach it.
OTHERS = ("FIFO", "LRU", "SLRU", "LFU", "GDSF", "ARC", "LIRS", "TwoQ", "WTinyLFU", "Sieve", "S3FIFO", "Belady")
RIVAL = "S3FIFO"
_NEVER = (1 << 63) - 1
# timestamp, object, size, number of the next request for it
_RECORD = struct.Struct("<IQIq")
_HASH_POWER = 18


class MissingExtraError(Exception):
    """libCacheSim is not installed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Misses:
    """Shares of requests and of bytes that the cache did not have."""

    requests: float
    bytes: float


def keys_of(trace: Trace) -> list[Key]:
    """The production key of each object."""
    return [Key(f"{item // 2:064x}", Part.TAIL if item % 2 else Part.PREFIX) for item in range(len(trace.sizes))]


def ours(trace: Trace, cache_bytes: int) -> Misses:
    """As the RAM tier does: look, bring what is missing, count the request."""
    policy = S3Fifo(cache_bytes, keys_max=1 << 30)
    keys = keys_of(trace)
    missed, missed_bytes = 0, 0
    for item in trace.objects:
        key = keys[item]
        if key not in policy:
            missed += 1
            missed_bytes += trace.sizes[item]
            policy.grow(key, trace.sizes[item])
        policy.touch(key)
    return Misses(missed / len(trace.objects), missed_bytes / trace.requested_bytes)


@contextmanager
def theirs(trace: Trace) -> Iterator[Callable[[str, int], Misses]]:
    """A function (name, cache_bytes) that runs the trace through libCacheSim. Raises MissingExtraError."""
    library = _library()
    with NamedTemporaryFile(suffix=".oracleGeneral") as file:
        Path(file.name).write_bytes(_packed(trace))

        def run(name: str, cache_bytes: int) -> Misses:
            reader = library.TraceReader(file.name, library.TraceType.ORACLE_GENERAL_TRACE)
            cache = getattr(library, name)(cache_size=cache_bytes, hashpower=_HASH_POWER)
            return Misses(*cache.process_trace(reader))

        yield run


def _packed(trace: Trace) -> bytes:
    """The trace in libCacheSim's own format, which tells Belady when each object is wanted next."""
    upcoming = [0] * len(trace.objects)
    last_seen: dict[int, int] = {}
    for number in range(len(trace.objects) - 1, -1, -1):
        item = trace.objects[number]
        upcoming[number] = last_seen.get(item, _NEVER)
        last_seen[item] = number
    return b"".join(
        # Object 0 is reserved there.
        _RECORD.pack(number, item + 1, trace.sizes[item], upcoming[number])
        for number, item in enumerate(trace.objects)
    )


def _library() -> Any:
    try:
        return importlib.import_module("libcachesim")
    except ImportError:
        raise MissingExtraError(
            "libCacheSim is not installed: .venv/bin/pip install -e '.[bench]' (GPL; for this benchmark only)"
        ) from None
