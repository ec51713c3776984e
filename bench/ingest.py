"""`./scripts/bench ingest PATH...`: imports music into a real catalog and S3, then decodes every rendition that came of it.

What it cost is CPU time of the import with its workers for each minute of music. A rendition is right when its bytes have the
hash that is its id, and when a decoder gives the samples that the catalog promises: delay, song, padding, within one sample.
"""

import argparse
import asyncio
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import grpc

from bench import report
from bench.catalog.world import World
from bench.launch import ROOT, Missing, Server
from bench.report import Column
from bench.songs import MESH_KEY, SIGNING_KEY
from reprise import grants, s3
from reprise.catalog.v1.catalog_service_pb2 import GetSongsRequest
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from reprise.types.v1.types_pb2 import Codec, Rendition, Song

SAMPLES_OFF_MAX = 1
COLUMNS = (
    Column("rendition", "rendition"),
    Column("songs", "songs"),
    Column("MB", "mb", 1),
    Column("kb/s", "kbps"),
    Column("wrong bytes", "wrong_bytes"),
    Column("worst error in samples", "samples_off"),
)


@dataclass(slots=True)
class Kind:
    """Renditions of one codec and nominal bit rate."""

    songs: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    wrong_bytes: int = 0
    samples_off: int = 0


@dataclass(slots=True)
class Imported:
    """What an import said, and what it took."""

    files: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0

    def outcome(self, name: str) -> list[dict[str, Any]]:
        return [file for file in self.files if file["outcome"] == name]


def run_import(world: World, catalog: Server, paths: Sequence[Path]) -> Imported:
    """Imports `paths` with a worker a core. Raises Missing when S3 or the catalog failed."""
    began, used = time.perf_counter(), _children_s()
    argv = [sys.executable, "-m", "origin.ingest", "--json", *map(str, paths)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **_settings(world, catalog)}
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    if ended.returncode != 0 or not lines:
        raise Missing(f"the import failed: {ended.stderr.strip() or ended.stdout.strip()[-500:]}")
    files = [line for line in lines if line["event"] == "file"]
    return Imported(files, time.perf_counter() - began, _children_s() - used)


def _children_s() -> float:
    """CPU seconds of processes that ended and were waited for, with all that these waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _settings(world: World, catalog: Server) -> dict[str, str]:
    (world.folder / "manifest.key").write_text(SIGNING_KEY.private_bytes_raw().hex())
    (world.folder / "operator.key").write_text(grants.derive_key(MESH_KEY, grants.OPERATOR).hex())
    values = {
        "catalog_address": f"127.0.0.1:{catalog.grpc_port}",
        "s3_endpoint": world.bucket.endpoint,
        "s3_bucket": world.bucket.name,
        "s3_credentials_path": world.bucket.credentials_path,
        "manifest_key_path": world.folder / "manifest.key",
        "operator_key_path": world.folder / "operator.key",
    }
    return {f"REPRISE_INGEST_{name.upper()}": str(value) for name, value in values.items()}


async def check(world: World, catalog: Server, song_ids: Sequence[str]) -> tuple[dict[str, Kind], float]:
    """Every rendition of these songs, read from S3 and decoded; and how many seconds of music there are."""
    kinds: dict[str, Kind] = defaultdict(Kind)
    seconds = 0.0
    async with grpc.aio.insecure_channel(f"127.0.0.1:{catalog.grpc_port}") as channel, s3.client(world.bucket) as store:
        stub = CatalogServiceStub(channel)
        for song_id in song_ids:
            (song,) = (await stub.GetSongs(GetSongsRequest(song_ids=[song_id]), timeout=10)).songs
            seconds += song.duration_ms / 1000
            for rendition in song.renditions:
                answer = await store.get_object(Bucket=world.bucket.name, Key=s3.rendition_key(rendition.rendition_id))
                async with answer["Body"] as body:
                    _judge(kinds[_name(rendition)], song, rendition, await body.read())
    return kinds, seconds


def _judge(kind: Kind, song: Song, rendition: Rendition, data: bytes) -> None:
    kind.songs += 1
    kind.size_bytes += len(data)
    kind.seconds += song.duration_ms / 1000
    kind.wrong_bytes += hashlib.sha256(data).hexdigest() != rendition.rendition_id
    promised = rendition.delay_samples + rendition.samples + rendition.padding_samples
    kind.samples_off = max(kind.samples_off, abs(_decoded_samples(data) - promised))


def _decoded_samples(data: bytes) -> int:
    """Samples per channel that a decoder gives when nobody trims them."""
    with av.open(io.BytesIO(data), "r") as container:
        stream: Any = container.streams.audio[0]
        # Else libav leaves out what the container calls priming.
        stream.codec_context.options = {"flags2": "+skip_manual"}
        return sum(frame.samples for frame in container.decode(stream))


def _name(rendition: Rendition) -> str:
    codec = Codec.Name(rendition.codec).removeprefix("CODEC_")
    if rendition.codec == Codec.CODEC_OPUS:
        return f"{codec} {96 if rendition.bitrate_bps < 128_000 else 160}"
    return codec


def _row(name: str, kind: Kind) -> dict[str, object]:
    return {
        "rendition": name,
        "songs": kind.songs,
        "mb": kind.size_bytes / 1e6,
        "kbps": kind.size_bytes * 8 / kind.seconds / 1000,
        "wrong_bytes": kind.wrong_bytes,
        "samples_off": kind.samples_off,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench ingest", description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="audio file or folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options, machine = parser.parse_args(), report.machine()
    try:
        with tempfile.TemporaryDirectory(prefix="reprise-bench-") as name, World(Path(name)) as world:
            catalog = world.catalog()
            imported = run_import(world, catalog, options.paths)
            song_ids = [file["song_id"] for file in imported.outcome("imported")]
            kinds, seconds = asyncio.run(check(world, catalog, song_ids))
    except (Missing, grpc.RpcError) as error:
        print(f"bench ingest: {error}", file=sys.stderr)
        return 1
    rows = [_row(kind_name, kind) for kind_name, kind in sorted(kinds.items())]
    minutes = seconds / 60
    print(f"{machine}\n\n{report.table(COLUMNS, rows)}\n")
    print(
        f"{len(imported.files)} files, {len(song_ids)} imported: {minutes:.1f} minutes of music in {imported.seconds:.0f} s, "
        f"{imported.cpu_s / max(minutes, 1e-9):.2f} CPU seconds a minute"
    )
    for file in imported.outcome("failed"):
        print(f"failed: {Path(file['path']).name}: {file['reason']}")
    facts = {"files": len(imported.files), "minutes": minutes, "seconds": imported.seconds, "cpu_s": imported.cpu_s}
    report.write_json(options.json, {"machine": machine, "rows": rows, **facts, "failed": imported.outcome("failed")})
    wrong = any(kind.wrong_bytes or kind.samples_off > SAMPLES_OFF_MAX for kind in kinds.values())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
