"""Orders to edges, and the wait for their answers.

An answer counts only from the edge that was asked. Every wait ends: with the edge's answer, with its stream, or with the time.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from balancer.metrics import BalancerMetrics

ANSWER_S_MAX = 30.0
# Orders that one edge has not answered yet.
OPEN_MAX = 64


@dataclass(frozen=True, slots=True)
class Prewarm:
    """Fill these renditions; only their first 512 KiB when `prefix_only`. 0 is no limit of what is read from origins."""

    rendition_ids: tuple[str, ...]
    prefix_only: bool
    origin_bps_max: int = 0


@dataclass(frozen=True, slots=True)
class Purge:
    """Drop these renditions."""

    rendition_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no new listeners and exit when empty or after `deadline_s`."""

    deadline_s: int


Action = Prewarm | Purge | Drain


@dataclass(frozen=True, slots=True)
class Command:
    """An action on its way to one edge."""

    command_id: str
    action: Action


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command."""

    edge_id: str
    ok: bool
    detail: str


class OpenCommands:
    """The unanswered commands of one report stream; `send` puts one on it."""

    def __init__(self, edge_id: str, send: Callable[[Command], None], metrics: BalancerMetrics) -> None:
        self._edge_id = edge_id
        self._send = send
        self._count = metrics.commands
        self._open: dict[str, asyncio.Future[Answer]] = {}

    async def ask(self, action: Action, seconds_max: float = ANSWER_S_MAX) -> Answer:
        """Sends the action and waits for what becomes of it."""
        if len(self._open) >= OPEN_MAX:
            return self._answer("refused", ok=False, detail=f"{OPEN_MAX} commands to this edge are unanswered: wait")
        command = Command(secrets.token_hex(8), action)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[command.command_id] = future
        try:
            async with asyncio.timeout(seconds_max):
                self._send(command)
                return await future
        except TimeoutError:
            return self._answer("late", ok=False, detail=f"no answer within {seconds_max:g} s")
        finally:
            del self._open[command.command_id]

    def answered(self, command_id: str, *, ok: bool, detail: str) -> None:
        """The edge answered; an unknown id is an answer that came too late."""
        future = self._open.get(command_id)
        if future is not None and not future.done():
            future.set_result(self._answer("ok" if ok else "failed", ok=ok, detail=detail))

    def stream_ended(self) -> None:
        """Nothing more will be answered."""
        for future in self._open.values():
            if not future.done():
                future.set_result(self._answer("lost", ok=False, detail="its report stream ended before it answered"))

    def _answer(self, result: str, *, ok: bool, detail: str) -> Answer:
        self._count.labels(result).inc()
        return Answer(self._edge_id, ok, detail)
