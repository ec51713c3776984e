"""`./scripts/bench catalog`: the catalog at a million songs: loading, searching, browsing and saving, beside pg_trgm and FTS5.

A real catalog, indexer, PostgreSQL, Valkey and S3. The catalog and PostgreSQL share one core. What others would search with
holds the same songs and is asked the same questions in the same run.
"""

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path

import asyncpg
import grpc

from bench import report
from bench.catalog import finding, paging, plots, writing
from bench.catalog.corpus import Corpus, CorpusSong
from bench.catalog.finding import OURS, Answers, Judge
from bench.catalog.index import built
from bench.catalog.load import load
from bench.catalog.rivals import Fts5, Rival, Row, Trigrams
from bench.catalog.world import World
from bench.launch import Missing, Server
from bench.options import numbers
from bench.report import Column
from catalog.migrate import migrate

DATABASE_WAIT_S = 30.0
SIZES = (
    Column("what", "what"),
    Column("songs", "songs"),
    Column("s", "seconds", 1),
    Column("songs/s", "songs_s"),
    Column("MiB", "mib", 1),
    Column("bytes a song", "bytes_song"),
)
TABLES = (Column("table", "table"), Column("bytes a song", "bytes_song"), Column("of them indexes", "index_bytes_song"))
MEMORY = (Column("process", "process"), Column("RSS MiB", "rss_mib"))

_SIZES_OF_TABLES = """
    SELECT relname, pg_total_relation_size(oid) AS size, pg_indexes_size(oid)
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY size DESC
"""


class Figures:
    """What a run found, table by table."""

    def __init__(self) -> None:
        self.sizes: list[dict[str, object]] = []
        self.found: dict[tuple[str, str], Answers] = {}
        self.pages: list[dict[str, object]] = []
        self.writes: list[dict[str, object]] = []
        self.tables_of_postgres: list[dict[str, object]] = []
        self.memory: list[dict[str, object]] = []
        self.until_found_s: list[float] = []

    def size(self, what: str, songs: int, seconds: float, size_bytes: int) -> None:
        row = {"what": what, "songs": songs, "seconds": seconds, "songs_s": songs / seconds if seconds else None}
        self.sizes.append({**row, "mib": size_bytes / 2**20, "bytes_song": size_bytes / songs})

    def tables(self) -> dict[str, str]:
        """Each table as Markdown by its heading."""
        asked = finding.rows(self.found)
        return {
            "Loaded": report.table(SIZES, self.sizes),
            "PostgreSQL's tables": report.table(TABLES, self.tables_of_postgres),
            "Searched": report.table(finding.COLUMNS, asked),
            "Browsed, pages of 50": report.table(paging.COLUMNS, self.pages),
            "Written": report.table(writing.COLUMNS, self.writes),
            "Memory": report.table(MEMORY, self.memory),
        }

    def as_json(self) -> dict[str, object]:
        asked = finding.rows(self.found)
        tables = {"loaded": self.sizes, "searched": asked, "browsed": self.pages, "written": self.writes}
        return {**tables, "tables": self.tables_of_postgres, "memory": self.memory, "until_found_s": self.until_found_s}


async def _measure(world: World, options: argparse.Namespace, figures: Figures) -> None:
    corpus = Corpus(options.songs, options.seed)
    await migrate(world.dsn, wait_s=DATABASE_WAIT_S, connect_timeout_s=5)
    seconds = await load(world.dsn, corpus, time.time())
    songs = list(corpus.songs())
    async with AsyncExitStack() as stack:
        rivals = await _load_rivals(stack, world, corpus, songs)
        began = time.perf_counter()
        catalog = world.catalog()
        cards_s = time.perf_counter() - began
        size_bytes, figures.tables_of_postgres = await _table_sizes(world.dsn, options.songs)
        figures.size("PostgreSQL, by COPY", options.songs, seconds, size_bytes)
        report.say(f"catalog ready after {cards_s:.1f} s; indexing")
        indexer = world.indexer()
        index = await built(catalog, indexer)
        figures.size(f"{OURS}'s search index", options.songs, index.seconds, index.size_bytes)
        for rival in rivals:
            figures.size(rival.name, options.songs, rival.load_s, await rival.size_bytes())
        await _ask(catalog, rivals, corpus, songs, options, figures)
    figures.until_found_s = await writing.until_found(catalog, options.new_songs, options.seed)
    figures.memory += _memory(world, {"catalog": catalog, "indexer": indexer})


async def _load_rivals(stack: AsyncExitStack, world: World, corpus: Corpus, songs: Sequence[CorpusSong]) -> list[Rival]:
    rivals: list[Rival] = [Trigrams(await asyncpg.connect(world.rival_dsn)), Fts5(world.folder / "fts5.db")]
    for rival in rivals:
        stack.push_async_callback(rival.close)
        report.say(f"loading {rival.name}")
        rows = (Row(s.number, s.title, corpus.artists[s.artist], corpus.plays(s.rank)) for s in songs)
        await rival.load(rows)
    return rivals


async def _ask(
    catalog: Server,
    rivals: Sequence[Rival],
    corpus: Corpus,
    songs: Sequence[CorpusSong],
    options: argparse.Namespace,
    figures: Figures,
) -> None:
    # A million songs in this process are nothing for its collector to walk through while somebody waits.
    gc.collect()
    gc.freeze()
    address = f"127.0.0.1:{catalog.grpc_port}"
    real = list(islice(songs, corpus.real_count))
    asked = finding.questions(corpus, real, options.questions, options.seed)
    figures.found = await finding.ask_all(address, rivals, Judge(corpus, songs), asked, options.rivals_every)
    figures.pages = await paging.measure(address, [0, *options.depths], options.pages)
    figures.writes = await writing.progress(catalog, [song.song_id for song in songs], options.writes, options.seed)


async def _table_sizes(dsn: str, songs: int) -> tuple[int, list[dict[str, object]]]:
    """Bytes of the database, and a row for each table that takes at least one byte a song."""
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetch(_SIZES_OF_TABLES)
        whole = int(await connection.fetchval("SELECT pg_database_size(current_database())"))
    finally:
        await connection.close()
    rows: list[dict[str, object]] = [
        {"table": name, "bytes_song": size / songs, "index_bytes_song": indexes / songs}
        for name, size, indexes in found
        if size >= songs
    ]
    return whole, rows


def _memory(world: World, servers: dict[str, Server]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {"process": name, "rss_mib": server.rss_bytes() / 2**20} for name, server in servers.items()
    ]
    return [*rows, {"process": "PostgreSQL, shared memory counted once", "rss_mib": world.postgres_bytes() / 2**20}]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench catalog", description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--questions", type=int, default=1_500, help="of each kind: as typed, whole, with a slip")
    parser.add_argument(
        "--depths", type=numbers, default=[1_000, 100_000], help="browse behind so many entries; hundreds"
    )
    parser.add_argument("--rivals-every", type=int, default=5, help="one in so many questions is asked of rivals too")
    parser.add_argument("--pages", type=int, default=300, help="asked for at each depth of each list")
    parser.add_argument("--writes", type=int, default=10_000, help="of each class")
    parser.add_argument("--new-songs", type=int, default=20, help="published and waited for")
    parser.add_argument(
        "--folder", type=Path, help="where engines keep their files meanwhile (default: a temporary one)"
    )
    parser.add_argument("--plots", type=Path, help="draw PNGs into this folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    if options.songs < 100 or any(depth % paging.WALK_PAGE for depth in options.depths):
        parser.error(f"--songs must be at least 100, --depths multiples of {paging.WALK_PAGE}")
    return options


def main() -> int:
    options, machine, figures = _options(), report.machine(), Figures()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="reprise-bench-", dir=options.folder) as name,
            World(Path(name)) as world,
        ):
            asyncio.run(_measure(world, options, figures))
        if options.plots:
            report.say(f"drawn: {plots.draw(options.plots, figures.found)}")
    except (Missing, ValueError, grpc.RpcError, plots.MissingExtraError) as error:
        print(f"bench catalog: {error}", file=sys.stderr)
        return 1
    print(f"{machine}\n{options.songs:,} songs, seed {options.seed}\n")
    for heading, table in figures.tables().items():
        print(f"{heading}\n\n{table}\n")
    waits = figures.until_found_s
    print(f"published until found: median {report.median(waits):.2f} s, worst {max(waits):.2f} s of {len(waits)}")
    report.write_json(options.json, {"machine": machine, **figures.as_json()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
