"""Fetches one rendition through the mesh to a sink: the shell around `failover`. Bytes are counted and hashed as they pass.

A byte is delivered to the sink once and in order, whichever edges it came from. No wait for a byte is longer than STALL_S.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from reprise.cli.doors import Door, Wanted
from reprise.cli.failover import AskAgain, Attempt, Candidate, Done, Failover, GiveUp
from reprise.errors import DataCorrupt, RepriseError, Unavailable

STALL_S = 3.0

Reroute = Callable[[tuple[str, ...]], Awaitable[Sequence[Candidate]]]
# (attempt, bytes it gave, seconds to the first of them or 0, what ended it early)
Told = Callable[[Attempt, int, float, Exception | None], object]


@dataclass(frozen=True, slots=True)
class Journey:
    """What happened on the way."""

    size_bytes: int
    # Edges that gave bytes, in order.
    edge_ids: tuple[str, ...]
    seconds: float


@dataclass(kw_only=True)
class Player:
    """One listener of one rendition."""

    wanted: Wanted
    door: Door
    # A new list of candidates, given the edges that failed.
    reroute: Reroute
    sink: Callable[[bytes], object]
    # Told of each change of edge, in words.
    say: Callable[[str], None]
    # Told how each edge that was asked did.
    tell: Told = lambda _attempt, _delivered, _first_byte_s, _error: None
    # Bytes a second at most; 0 is as fast as they come.
    pace_bps: float = 0.0
    stall_s: float = STALL_S

    async def play(self, candidates: Sequence[Candidate]) -> Journey:
        """Every byte, verified at the end. Raises Unavailable when no edge has them, DataCorrupt when they are not the song."""
        started, digest = time.monotonic(), hashlib.sha256()
        failover = Failover(self.wanted.size_bytes)
        failover.routed(candidates)
        edge_ids: list[str] = []
        while True:
            match failover.next(random.random()):  # noqa: S311 - jitter
                case Attempt() as attempt:
                    await self._attempt(attempt, failover, digest, started)
                    if failover.offset > attempt.offset:
                        edge_ids.append(attempt.candidate.edge_id)
                case AskAgain() as ask:
                    await self._ask_again(ask, failover)
                case GiveUp() as end:
                    raise Unavailable(f"no edge plays it: {'; '.join(end.reasons) or 'there is none'}")
                case Done():
                    break
        if digest.hexdigest() != self.wanted.rendition_id:
            raise DataCorrupt(
                f"the bytes are not those of rendition {self.wanted.rendition_id}: they were altered on the way"
            )
        return Journey(failover.offset, tuple(edge_ids), time.monotonic() - started)

    async def _attempt(self, attempt: Attempt, failover: Failover, digest: "hashlib._Hash", started: float) -> None:
        asked_at, first_byte_s, failure = time.monotonic(), 0.0, None
        try:
            async with aclosing(self.door(attempt, self.wanted)) as pieces:
                while failover.offset < failover.size:
                    async with asyncio.timeout(self.stall_s):
                        data = await anext(pieces, b"")
                    if not data:
                        raise Unavailable("it ended too early")
                    if len(data) > failover.size - failover.offset:
                        raise DataCorrupt("it sent more bytes than the rendition has")
                    first_byte_s = first_byte_s or time.monotonic() - asked_at
                    failover.delivered(len(data))
                    digest.update(data)
                    self.sink(data)
                    await self._keep_pace(failover.offset, started)
        except (RepriseError, TimeoutError) as error:
            failure, reason = error, str(error) or f"no byte for {self.stall_s:.0f} s"
            failover.failed(reason)
            self.say(f"{attempt.candidate.edge_id} at byte {failover.offset}: {reason}")
        self.tell(attempt, failover.offset - attempt.offset, first_byte_s, failure)

    async def _ask_again(self, ask: AskAgain, failover: Failover) -> None:
        await asyncio.sleep(ask.pause_s)
        try:
            failover.routed(await self.reroute(ask.failed_edge_ids))
        except Unavailable as error:
            failover.unrouted(error.message)
            self.say(error.message)
        except RepriseError as error:
            failover.refused(error.message)
            self.say(error.message)

    async def _keep_pace(self, offset: int, started: float) -> None:
        if self.pace_bps:
            ahead_s = started + offset / self.pace_bps - time.monotonic()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
