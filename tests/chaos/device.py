"""A listener's device as an SDK would be: it tries an action until it is answered, counts on, and remembers its token.

A device that is away makes actions for itself and brings them when it is back.
"""

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

from reprise.catalog.v1 import catalog_service_pb2 as pb
from tests.chaos.history import History, Read, Saved, Seen

if TYPE_CHECKING:
    from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceAsyncStub

CALL_S_MAX = 8.0
PACE_S = 0.03
AWAY_CHANCE, AWAY_ACTIONS_MAX = 0.15, 3
# What a client tries again at another catalog.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass
class Device:
    """One device of the listener `user_id`, who listens to one song."""

    user_id: str
    song_id: str
    name: str
    # Whether it goes offline at times.
    travels: bool
    catalogs: "Sequence[CatalogServiceAsyncStub]"
    history: History
    rng: random.Random
    # Set while devices may act.
    gate: asyncio.Event
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    _sequence: int = 0
    # The pointer's revision, as far as this device knows.
    _revision: int = 0
    _token: tuple[str, Saved] | None = None

    async def run(self) -> None:
        """Acts until cancelled."""
        while True:
            if not self.gate.is_set():
                self.idle.set()
                await self.gate.wait()
                self.idle.clear()
            await self._act()
            await asyncio.sleep(self.rng.uniform(0, 2 * PACE_S))

    async def read(self, catalog: "CatalogServiceAsyncStub", *, settled: bool = False) -> Read | None:
        """What a catalog answers now, noted; None when it does not."""
        began = _now()
        token, after = self._token or ("", None)
        request = pb.GetProgressRequest(user_id=self.user_id, song_id=self.song_id, consistency_token=token)
        try:
            answer = await catalog.GetProgress(request, timeout=CALL_S_MAX)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND and after is not None and not settled:
                self.history.reads.append(Read(self.song_id, began, {}, "", after=after))
            elif error.code() not in (*PASSING, grpc.StatusCode.NOT_FOUND):
                raise
            return None
        points = {
            one.device_id: Seen((one.epoch, one.sequence), one.position_ms, one.revision)
            for one in (answer.point, *answer.other_devices)
        }
        self._revision = max(self._revision, answer.point.revision)
        read = Read(self.song_id, began, points, answer.point.device_id, answer.stale, after, settled)
        self.history.reads.append(read)
        return read

    async def _act(self) -> None:
        chance = self.rng.random()
        if self.travels and chance < AWAY_CHANCE:
            base = self._revision
            made = [self._make(is_action=True, late=True) for _ in range(self.rng.randint(1, AWAY_ACTIONS_MAX))]
            for save in made:
                await self._save(save, base)
        elif chance < 0.45:
            await self._save(self._make(is_action=True), self._revision)
            await self.read(self.rng.choice(self.catalogs))
        elif chance < 0.8:
            await self._save(self._make(is_action=False), self._revision)
        else:
            await self.read(self.rng.choice(self.catalogs))

    def _make(self, *, is_action: bool, late: bool = False) -> Saved:
        self._sequence += 1
        position_ms = self.rng.randrange(200_000)
        save = Saved(self.song_id, self.name, (1, self._sequence), position_ms, is_action, _now(), late)
        self.history.saves.append(save)
        return save

    async def _save(self, save: Saved, base_revision: int) -> None:
        epoch, sequence = save.place
        point = pb.ResumePoint(
            song_id=self.song_id, device_id=self.name, position_ms=save.position_ms, epoch=epoch, sequence=sequence
        )
        kind = pb.PROGRESS_KIND_UNSPECIFIED if save.is_action else pb.PROGRESS_KIND_HEARTBEAT
        request = pb.SaveProgressRequest(
            user_id=self.user_id, point=point, kind=kind, base_revision=base_revision, late=save.late
        )
        order = self.rng.sample(self.catalogs, len(self.catalogs))
        for catalog in itertools.cycle(order) if save.is_action else order[:1]:
            try:
                self._note(save, await catalog.SaveProgress(request, timeout=CALL_S_MAX))
                break
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING:
                    save.refusal = f"{error.code().name}: {error.details()}"
                    break
            await asyncio.sleep(PACE_S)

    def _note(self, save: Saved, answer: pb.SaveProgressResponse) -> None:
        save.answered = _now()
        save.spooled = answer.spooled
        save.revision = answer.point.revision
        self._revision = max(self._revision, answer.point.revision, answer.conflict.revision)
        if answer.consistency_token and save.is_action:
            self._token = answer.consistency_token, save


def _now() -> float:
    return asyncio.get_running_loop().time()
