"""What a disk, a crash or a person may do to a cache directory, and whether a listener would notice."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from edge_node.store import Store
from tests.edge_node.stores import (
    Song,
    at_rest,
    cache,
    files,
    fill,
    forget_ram,
    make_song,
    open_store,
    play,
    request,
    whole,
)

SONG_CHUNKS = 12
# A file's change time moves in ticks of the kernel; a change in the very tick of the check cannot be told from none.
TICK_S = 0.01


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    with path.open("r+b") as file:
        file.truncate(rng.randrange(path.stat().st_size))


def blank(path: Path, rng: random.Random) -> None:
    with path.open("r+b") as file:
        file.seek(rng.randrange(path.stat().st_size))
        file.write(bytes(4096))


def lose(path: Path, rng: random.Random) -> None:
    path.unlink()


def swap(path: Path, rng: random.Random) -> None:
    other = rng.choice([sibling for sibling in path.parent.parent.rglob("*.*") if sibling != path])
    path.write_bytes(other.read_bytes())


DAMAGES: list[Callable[[Path, random.Random], None]] = [flip, flip, flip, flip, cut, blank, lose, swap]


def wrong(song: Song, delivered: dict[int, bytes | None]) -> list[int]:
    """Chunks that were delivered with other bytes than the song's."""
    return [chunk for chunk, data in delivered.items() if data not in (None, song.chunk(chunk))]


async def heal(store: Store, song: Song) -> None:
    """What the edge does about misses when two listeners come: it fills them, and what is new to the disk goes there."""
    for _ in range(2):
        entry = request(store, song)
        fill(entry, song, [chunk for chunk in range(song.count) if entry.has(chunk) is None])
        entry.release()
        await at_rest(store)


class Torture:
    """Rounds of damage to the cache of `songs` songs: half of it while the edge is down, half under its feet."""

    def __init__(self, cache_dir: Path, songs: int, seed: int) -> None:
        self.wrong_chunks = 0
        self.missed_chunks = 0
        self.unhealed_songs = 0
        self._cache_dir = cache_dir
        self._songs = [make_song(SONG_CHUNKS, number) for number in range(songs)]
        self._rng = random.Random(seed)

    async def begin(self) -> None:
        """Fills the cache."""
        async with open_store(self._cache_dir) as store:
            for song in self._songs:
                await cache(store, song)

    async def round(self, damages: int) -> None:
        """Damages the cache, restarts, listens, damages it again, listens again; heals both times."""
        self._damage(damages // 2)
        async with open_store(self._cache_dir) as store:
            await self._listen(store)
            await asyncio.sleep(TICK_S)
            self._damage(damages - damages // 2)
            await self._listen(store)

    def _damage(self, times: int) -> None:
        for _ in range(times):
            found = (path for song in self._songs for path in files(self._cache_dir, song).values())
            self._rng.choice(DAMAGES)(
                self._rng.choice(sorted(path for path in found if path.stat().st_size)), self._rng
            )

    async def _listen(self, store: Store) -> None:
        for song in self._songs:
            delivered = await play(store, song)
            self.wrong_chunks += len(wrong(song, delivered))
            self.missed_chunks += sum(data is None for data in delivered.values())
            await heal(store, song)
            forget_ram(store, song)
            self.unhealed_songs += await play(store, song) != whole(song)
