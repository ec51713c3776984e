"""What is written while people listen: resume points by the two classes, and a new song until it is found."""

import asyncio
import hashlib
import random
import secrets
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import grpc

from bench import report
from bench.catalog.index import operator_token
from bench.launch import Server
from bench.report import Column
from reprise import rpc
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogAdminServiceStub, CatalogServiceStub
from reprise.types.v1.types_pb2 import ArtistCredit, Codec, Rendition

if TYPE_CHECKING:  # the generated class exists for type checkers only
    from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceAsyncStub

LISTENERS, AT_ONCE = 2_000, 32
ANSWER_S_MAX = 10.0
FOUND_S_MAX, POLL_S = 30.0, 0.02
COLUMNS = (
    Column("writes", "writes"),
    Column("written", "written"),
    Column("a second", "per_s"),
    Column("a CPU second", "per_cpu_s"),
    Column("p50 ms", "p50_ms", 2),
    Column("p99 ms", "p99_ms", 1),
)
KINDS = {"user action": pb.PROGRESS_KIND_UNSPECIFIED, "heartbeat": pb.PROGRESS_KIND_HEARTBEAT}


async def progress(server: Server, songs: Sequence[uuid.UUID], count: int, seed: int) -> list[dict[str, object]]:
    """`count` of each class, AT_ONCE at a time, by listeners who each play a song. CPU is the catalog's own."""
    rng = random.Random(f"{seed} listeners")
    listeners = [(secrets.token_hex(12), str(rng.choice(songs))) for _ in range(LISTENERS)]
    rows: list[dict[str, object]] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = CatalogServiceStub(channel)
        for epoch, (name, kind) in enumerate(KINDS.items(), 1):
            requests = (_save(kind, *listeners[number % LISTENERS], epoch, number) for number in range(count))
            used, began = server.cpu_s(), time.perf_counter()
            waits = await _write_all(stub, requests)
            seconds, used = time.perf_counter() - began, server.cpu_s() - used
            row = {"per_s": count / seconds, "per_cpu_s": count / used, "p50_ms": report.median(waits)}
            rows.append({"writes": name, "written": count, **row, "p99_ms": report.quantile(waits, 0.99)})
    return rows


def _save(
    kind: "pb.ProgressKind.ValueType", user_id: str, song_id: str, epoch: int, number: int
) -> pb.SaveProgressRequest:
    point = pb.ResumePoint(song_id=song_id, device_id="phone", position_ms=number, epoch=epoch, sequence=number + 1)
    return pb.SaveProgressRequest(user_id=user_id, point=point, kind=kind)


async def _write_all(stub: "CatalogServiceAsyncStub", requests: Iterator[pb.SaveProgressRequest]) -> list[float]:
    """The wait of each write in ms; AT_ONCE writers share the requests."""
    waits: list[float] = []

    async def write() -> None:
        for request in requests:
            began = time.perf_counter()
            await stub.SaveProgress(request, timeout=ANSWER_S_MAX)
            waits.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(write() for _ in range(AT_ONCE)))
    return waits


async def until_found(server: Server, count: int, seed: int) -> list[float]:
    """Seconds from the answer of a publication until a search finds the song, for `count` songs one after another."""
    rng = random.Random(f"{seed} new songs")
    token = operator_token()
    waits = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        admin, stub = CatalogAdminServiceStub(channel), CatalogServiceStub(channel)
        for number in range(count):
            title = "".join(rng.choices("bcdfghjklmnpqrstvwxz", k=12))
            await admin.PublishSong(_song(title, number), metadata=rpc.bearer_metadata(token), timeout=ANSWER_S_MAX)
            began = time.perf_counter()
            while not (await stub.Search(pb.SearchRequest(query=title), timeout=ANSWER_S_MAX)).songs:
                if time.perf_counter() - began > FOUND_S_MAX:
                    raise ValueError(f"{title} is not found {FOUND_S_MAX:.0f} s after it was published")
                await asyncio.sleep(POLL_S)
            waits.append(time.perf_counter() - began)
            # Not in step with whatever beats inside.
            await asyncio.sleep(rng.random())
    return waits


def _song(title: str, number: int) -> pb.PublishSongRequest:
    digest = hashlib.sha256(f"{title}{number}".encode()).hexdigest()
    rendition = Rendition(
        rendition_id=digest,
        codec=Codec.CODEC_OPUS,
        bitrate_bps=96_000,
        size_bytes=1_000_000,
        duration_ms=200_000,
        sample_rate_hz=48_000,
        channels=2,
        mime_type='audio/mp4; codecs="opus"',
    )
    return pb.PublishSongRequest(
        source_sha256=digest,
        title=title,
        artists=[ArtistCredit(name=f"{title} players")],
        album=f"{title} album",
        genres=["Rock"],
        duration_ms=200_000,
        renditions=[rendition],
    )
