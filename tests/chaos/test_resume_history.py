"""Nothing that was acknowledged is lost, and nothing read goes back, whichever part of the catalog is killed.

Listeners with two devices each, one of which is offline at times, act all the while; a seed decides who dies and when. With
REPRISE_CHAOS_ROUNDS it runs longer, with REPRISE_CHAOS_SEED again as it was.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.migrate import migrate
from catalog.publish import Publisher
from tests.catalog.conftest import new_id
from tests.catalog.songbook import publication
from tests.chaos.device import Device
from tests.chaos.history import History, violations
from tests.chaos.world import World, ready, started, world
from tests.support.wait import eventually, wait_until

ROUNDS = int(os.environ.get("REPRISE_CHAOS_ROUNDS", "3"))
SEED = int(os.environ.get("REPRISE_CHAOS_SEED") or time.time_ns() % 1_000_000)
LISTENERS = 6
LOAD_S_MAX = 2.0
WRITES_BACK_S_MAX = 60.0
SETTLED_S_MAX = 20.0
REST_S_MAX = 30.0
# A heartbeat that is not there by then is lost.
FLUSHED_S = 7.0


@dataclass
class Story:
    """Who listens in a world, and what came of it."""

    world: World
    rng: random.Random
    history: History = field(default_factory=History)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: list[list[Device]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def listening(self, song_ids: list[str]) -> AsyncIterator[None]:
        """Every song has a listener, and every listener a phone that travels and a radio at home."""
        for song_id in song_ids:
            user_id = f"listener-{song_id}"
            self.listeners.append([self._device(user_id, song_id, name) for name in ("phone", "radio")])
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(device.run()) for devices in self.listeners for device in devices]
            yield
            for task in tasks:
                task.cancel()

    def _device(self, user_id: str, song_id: str, name: str) -> Device:
        rng = random.Random(self.rng.random())
        return Device(user_id, song_id, name, name == "phone", self.world.stubs, self.history, rng, self.gate)

    async def round(self, victim: str) -> None:
        """Load, a death under load, what an operator does about it, and a look at what is left.

        Devices rest as soon as it happened: what they do later would hide what was lost.
        """
        self.gate.set()
        await asyncio.sleep(self.rng.uniform(0.5, LOAD_S_MAX))
        self.history.kills.append(asyncio.get_running_loop().time())
        match victim:
            case "catalog":
                one = self.rng.choice(self.world.catalogs)
                one.kill()
                await self._rest()
                one.restart()
            case "valkey":
                self.world.restart_valkey()
                await self._rest()
            case _:
                await self._outlive_the_primary()
        await ready(self.world.catalogs)
        await self._settle()

    async def _outlive_the_primary(self) -> None:
        self.world.primary.kill()
        await asyncio.sleep(self.rng.uniform(0.2, 1))
        for stub in self.world.stubs:
            assert await self.listeners[0][0].read(stub) is not None, "without a primary every catalog answers reads"
        await self._rest()
        await self.world.promote()
        promoted_at = time.monotonic()
        await self._wait_unspooled(WRITES_BACK_S_MAX)
        print(f"everything spooled was committed {time.monotonic() - promoted_at:.2f} s after the promotion")
        await self.world.rebuild()

    async def _rest(self) -> None:
        self.gate.clear()
        async with asyncio.timeout(REST_S_MAX):
            await asyncio.gather(*(device.idle.wait() for listener in self.listeners for device in listener))

    async def _wait_unspooled(self, deadline_s: float) -> None:
        def spooled() -> float:
            return sum(one.metrics().sum("reprise_catalog_spool_records") for one in self.world.catalogs)

        await wait_until(lambda: spooled() == 0, "spools are empty", deadline_s)

    async def _settle(self) -> None:
        """Once spools are empty and heartbeats had their time: every listener's points as they are from now on."""
        await self._wait_unspooled(SETTLED_S_MAX)
        flushed_at = asyncio.get_running_loop().time() + FLUSHED_S
        for listener in self.listeners:

            async def is_settled(listener: list[Device] = listener) -> bool:
                return await self._shows_all(listener) or asyncio.get_running_loop().time() > flushed_at

            await eventually(is_settled, "heartbeats are flushed", SETTLED_S_MAX)
            assert await listener[0].read(self.world.stubs[0], settled=True) is not None

    async def _shows_all(self, listener: list[Device]) -> bool:
        read = await listener[0].read(self.world.stubs[0])
        song_id = listener[0].song_id
        answered = [save for save in self.history.saves if save.song == song_id and save.answered is not None]
        return read is not None and all(
            save.device in read.points and read.points[save.device].place >= save.place for save in answered
        )


async def publish_songs(dsn: str) -> list[str]:
    await migrate(dsn, wait_s=30, connect_timeout_s=5)
    metrics = CatalogMetrics(CollectorRegistry())
    database = Database(dsn, metrics, connections_max=2, connect_timeout_s=5, statement_timeout_s=10)
    try:
        publisher = Publisher(database, new_id, metrics)
        songs = [await publisher.publish(publication(f"Song {number}")) for number in range(LISTENERS)]
        return [str(song.song_id) for song in songs]
    finally:
        await database.close()


def victims(rng: random.Random, rounds: int) -> list[str]:
    """All kinds, in an order by chance, again and again."""
    kinds = ["primary", "catalog", "valkey"]
    return [victim for _ in range(0, rounds, len(kinds)) for victim in rng.sample(kinds, len(kinds))][:rounds]


async def test_no_acknowledged_action_is_lost_and_no_read_goes_back_whoever_dies(tmp_path: Path) -> None:
    print(f"REPRISE_CHAOS_SEED={SEED}")
    rng = random.Random(SEED)
    async with world(tmp_path) as empty:
        song_ids = await publish_songs(empty.dsn)
        async with started(empty) as running:
            story = Story(running, rng)
            async with story.listening(song_ids):
                for victim in victims(rng, ROUNDS):
                    print(f"round: {victim} dies")
                    await story.round(victim)
    history = story.history
    answered = [save for save in history.saves if save.answered is not None]
    spooled = sum(save.spooled for save in answered)
    stale = sum(read.stale for read in history.reads)
    print(
        f"{len(answered)} saves answered, {spooled} of them spooled; {len(history.reads)} reads, {stale} of them stale"
    )
    assert violations(history) == []
    assert len(answered) > 5 * LISTENERS * ROUNDS
    if ROUNDS >= 3:
        assert spooled
        assert any(save.late for save in answered)
