"""One worker as the node process knows it: its process, its link, its leases, and what it last said of itself."""

import asyncio
import time
from typing import Protocol

from edge_node.node import Node
from edge_node.open_file import OpenFile
from edge_node.store import Store
from edge_node.tally import Tally
from edge_node.workers.asks import Asks
from edge_node.workers.lessor import Lessor
from edge_node.workers.link import Link
from edge_node.workers.messages import (
    Answer,
    AskPage,
    Crowd,
    Figures,
    Listening,
    Message,
    Playing,
    Pull,
    Purge,
    Streams,
)
from edge_node.workers.process import WorkerProcess
from reprise.log import get_logger

log = get_logger()
_ORPHAN_S_MAX = 2.0


class Foreman(Protocol):
    """What a worker's messages are for, besides the store."""

    def listening_now(self, worker: "Worker") -> None: ...
    def streams(self, worker: "Worker", grants: dict[str, int]) -> None: ...
    def playing(self, worker: "Worker", playing: Playing) -> None: ...
    def crowd(self) -> None: ...
    def figures(self, worker: "Worker", figures: Figures) -> None: ...
    def page(self, worker: "Worker", ask: AskPage) -> None: ...


class Worker:
    """Running from the start on; `wait_end` tells when it is over and why."""

    def __init__(self, number: int, process: WorkerProcess, node: Node, store: Store, foreman: Foreman) -> None:
        self.number = number
        self.listening = False
        self.tally = Tally()
        self.started_at = self.heard_at = time.monotonic()
        self.lessor = Lessor(node, store, self.send)
        self._process = process
        self._foreman = foreman
        self._link = Link(process.link, self._take, self._lost)
        self._purges: Asks[bool] = Asks()
        self._pulls: Asks[bool] = Asks()
        self._cause = "died"
        self._reason = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Message, file: OpenFile | None = None) -> None:
        self._link.send(message, file)

    async def purge(self, rendition_id: str) -> bool:
        """Whether the worker says that a rendition is gone. It must be gone from the store, or going, when this is called."""
        self.lessor.purged(rendition_id)
        return await self._purges.ask(lambda number: self.send(Purge(number, rendition_id)))

    async def pull(self) -> None:
        """Returns when the worker has told its figures, or is lost."""
        await self._pulls.ask(lambda number: self.send(Pull(number)))

    async def wait_end(self) -> str:
        """Why the worker ended; everything that it held is given back."""
        code = await self._process.wait_exit()
        log.info(
            "worker_ended", worker=self.number, pid=self.pid, exit_code=code, cause=self._cause, reason=self._reason
        )
        self.close()
        return self._cause

    def kill(self, cause: str) -> None:
        """Ends it now."""
        self._cause = cause
        self._process.kill()

    def close(self) -> None:
        """Gives everything back; may be called again."""
        self.listening = False
        self._link.close()
        self.lessor.close()
        self._purges.close(value=True)
        self._pulls.close(value=False)

    def _take(self, message: Message, _fd: int | None) -> None:
        self.heard_at = time.monotonic()
        match message:
            case Streams():
                self._foreman.streams(self, message.grants)
            case Playing():
                self._foreman.playing(self, message)
            case Crowd():
                self._foreman.crowd()
            case Figures():
                self.tally = Tally.of_list(message.tally)
                self._foreman.figures(self, message)
                self._pulls.answer(message.ask, value=True)
            case Answer():
                self._purges.answer(message.ask, message.ok)
            case AskPage():
                self._foreman.page(self, message)
            case Listening():
                self.listening = True
                self._foreman.listening_now(self)
            case _:
                self.lessor.take(message)

    def _lost(self, reason: str) -> None:
        """Without its link a worker ends by itself; most often it is dead already."""
        self._reason = f"its link {reason}"
        self.close()
        asyncio.get_running_loop().call_later(_ORPHAN_S_MAX, self._process.kill)
