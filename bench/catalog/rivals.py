"""What others would search with: PostgreSQL's pg_trgm, and SQLite's FTS5 with trigrams, each the way its manual says.

Both hold one line of text a song, "title artist", folded to lower case without accents. A question is first taken as typed (a
substring, most played first; below three letters, where trigrams do not reach, a beginning of the title); with too few
answers, trigrams in common are asked for, best match first.
"""

import sqlite3
import time
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

import asyncpg

ENOUGH = 10
# A listener has typed on by then; the answer counts as empty.
QUESTION_S_MAX = 5.0
_TRIGRAM = 3


class Row(NamedTuple):
    """A song as rivals are loaded with it."""

    number: int
    title: str
    artist: str
    plays: float


class Rival(Protocol):
    """Something that finds numbers of songs."""

    name: str
    load_s: float

    async def load(self, rows: Iterable[Row]) -> None: ...
    async def find(self, text: str) -> list[int]: ...
    async def size_bytes(self) -> int: ...
    async def close(self) -> None: ...


def folded(text: str) -> str:
    """Lower case without accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


class Trigrams:
    """PostgreSQL with a GIN index of trigrams."""

    name = "PostgreSQL pg_trgm"

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.load_s = 0.0

    async def load(self, rows: Iterable[Row]) -> None:
        began = time.perf_counter()
        run = self._connection.execute
        await run("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        await run('CREATE TABLE line (number integer, head text COLLATE "C", folded text, plays double precision)')
        lines = ((row.number, folded(row.title), folded(f"{row.title} {row.artist}"), row.plays) for row in rows)
        await self._connection.copy_records_to_table("line", records=lines)
        await run("CREATE INDEX line_trigrams ON line USING gin (folded gin_trgm_ops)")
        await run("CREATE INDEX line_head ON line (head)")
        await run("ANALYZE line")
        await run(f"SET statement_timeout = {int(QUESTION_S_MAX * 1000)}")
        await run("SET pg_trgm.word_similarity_threshold = 0.5")
        self.load_s = time.perf_counter() - began

    async def find(self, text: str) -> list[int]:
        asked = folded(text)
        try:
            found = await self._as_typed(asked)
            if len(found) < ENOUGH and len(asked) >= _TRIGRAM:
                similar = "SELECT number FROM line WHERE $1 <% folded ORDER BY $1 <<-> folded, plays DESC LIMIT 10"
                found += [row[0] for row in await self._connection.fetch(similar, asked) if row[0] not in found]
        except asyncpg.QueryCanceledError:
            return []
        return found[:ENOUGH]

    async def _as_typed(self, asked: str) -> list[int]:
        if len(asked) < _TRIGRAM:
            where, value = "head >= $1 AND head < $1 || chr(1114111)", asked
        else:
            escaped = asked.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            where, value = "folded LIKE $1", f"%{escaped}%"
        statement = f"SELECT number FROM line WHERE {where} ORDER BY plays DESC LIMIT {ENOUGH}"
        return [row[0] for row in await self._connection.fetch(statement, value)]

    async def size_bytes(self) -> int:
        return int(await self._connection.fetchval("SELECT pg_total_relation_size('line')"))

    async def close(self) -> None:
        await self._connection.close()


class Fts5:
    """SQLite in this process, its whole file in the page cache."""

    name = "SQLite FTS5 trigram"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(path)
        self._deadline = 0.0
        self.load_s = 0.0

    async def load(self, rows: Iterable[Row]) -> None:
        began = time.perf_counter()
        run = self._connection.execute
        run("PRAGMA journal_mode = OFF")
        run("PRAGMA synchronous = OFF")
        run("PRAGMA cache_size = -1000000")
        run("CREATE TABLE line (number INTEGER PRIMARY KEY, head TEXT, plays REAL)")
        run("CREATE VIRTUAL TABLE words USING fts5(folded, content='', tokenize='trigram')")
        for row in rows:
            run("INSERT INTO line VALUES (?, ?, ?)", (row.number, folded(row.title), row.plays))
            run("INSERT INTO words (rowid, folded) VALUES (?, ?)", (row.number, folded(f"{row.title} {row.artist}")))
        run("CREATE INDEX line_head ON line (head)")
        run("INSERT INTO words (words) VALUES ('optimize')")
        run("ANALYZE")
        self._connection.commit()
        self._connection.set_progress_handler(lambda: int(time.perf_counter() > self._deadline), 10_000)
        self.load_s = time.perf_counter() - began

    async def find(self, text: str) -> list[int]:
        asked = folded(text)
        self._deadline = time.perf_counter() + QUESTION_S_MAX
        try:
            found = self._as_typed(asked)
            if len(found) < ENOUGH and len(asked) >= _TRIGRAM:
                similar = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT 10"
                any_of = " OR ".join(_quoted(asked[at : at + _TRIGRAM]) for at in range(len(asked) - _TRIGRAM + 1))
                found += [row[0] for row in self._connection.execute(similar, (any_of,)) if row[0] not in found]
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            return []
        return found[:ENOUGH]

    def _as_typed(self, asked: str) -> list[int]:
        if len(asked) < _TRIGRAM:
            statement = (
                "SELECT number FROM line WHERE head >= ?1 AND head < ?1 || char(1114111) ORDER BY plays DESC LIMIT 10"
            )
            return [row[0] for row in self._connection.execute(statement, (asked,))]
        joined = "words JOIN line ON number = words.rowid"
        statement = f"SELECT number FROM {joined} WHERE words MATCH ? ORDER BY plays DESC LIMIT {ENOUGH}"
        return [row[0] for row in self._connection.execute(statement, (_quoted(asked),))]

    async def size_bytes(self) -> int:
        return self._path.stat().st_size

    async def close(self) -> None:
        self._connection.close()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
