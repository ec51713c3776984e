"""Starts the origin: `python -m origin`."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

from prometheus_client import CollectorRegistry

from origin.coalescing import Coalescer
from origin.gate import Gate
from origin.library import Library
from origin.metrics import OriginMetrics
from origin.patience import Patience
from origin.readiness import Readiness
from origin.reads import Reads
from origin.servicer import OriginServicer
from origin.settings import Settings
from origin.store import Store
from reprise import s3
from reprise.chunks import CHUNK_BYTES
from reprise.config import read_key
from reprise.grants import derive_key
from reprise.metrics import LoopLag
from reprise.origin.v1.origin_service_pb2_grpc import add_OriginServiceServicer_to_server
from reprise.service import App, main
from reprise.streams import Streams

# 1 MiB: about what S3 sends in the time that the first byte of another read takes.
JOIN_CHUNKS_MAX = 16
EDGE_KEYS_MAX = 4096


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The origin's App from its settings; closes what it opened."""
    registry = CollectorRegistry()
    metrics = OriginMetrics(registry)
    bucket = s3.Bucket(settings.s3_endpoint, settings.s3_bucket, settings.s3_credentials_path)
    mesh_key = read_key(settings.mesh_key_path, "mesh_key_path")
    # Attempts are counted in `patience`, which also resumes bodies; the client makes one each.
    async with s3.client(bucket, connections_max=settings.s3_reads_max + 2, attempts_max=1) as client:
        patience = Patience(idle_s_max=settings.s3_idle_s_max, total_s_max=settings.s3_patience_s)
        store = Store(client, settings.s3_bucket, metrics, patience)
        gate = Gate(
            active_max=settings.s3_reads_max,
            waiting_max=settings.s3_reads_waiting_max,
            wait_s_max=settings.s3_wait_s_max,
            metrics=metrics,
        )
        coalescer = Coalescer(
            window_bytes_max=settings.window_bytes_max,
            read_chunks_max=settings.read_bytes_max // CHUNK_BYTES,
            join_chunks_max=JOIN_CHUNKS_MAX,
        )
        reads = Reads(store, coalescer, gate, metrics)
        library = Library(store, reads, gate, metrics, time.monotonic)
        streams = Streams("origin", settings.stream_stall_s_max, registry)
        metrics.streams.set_function(lambda: len(streams))
        readiness = Readiness(store)
        key_of = lru_cache(EDGE_KEYS_MAX)(lambda kid: derive_key(mesh_key, kid))
        loop_lag = LoopLag("origin")
        try:
            yield App(
                name="origin",
                settings=settings,
                servicers=[(add_OriginServiceServicer_to_server, OriginServicer(library, streams, key_of))],
                registry=registry,
                ready=lambda: readiness.missing,
                background=(readiness.watch, streams.watch, loop_lag.run),
                drain=streams.wait_idle,
                loop_lag=loop_lag,
            )
        finally:
            await reads.close()
            await library.close()


if __name__ == "__main__":
    main("origin", Settings, build)
