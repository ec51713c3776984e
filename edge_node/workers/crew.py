"""The worker processes of an edge: started, asked, told, and started again when they end.

What the workers serve is one edge: limits hold over all of them, a purge is over when every one has cut its readers, and the
figures are sums (`roll`). A worker that ends is noticed by the kernel's word at once; its streams and leases are given back,
and another one takes over its listening socket.

Bounds: a worker that does not listen START_S_MAX after its start, that says nothing for SILENT_S_MAX, or that has not purged
after PURGE_S_MAX is killed, so nothing waits for a worker longer than that.
"""

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from edge_node.eviction import Key
from edge_node.node import Node
from edge_node.store import Store
from edge_node.tally import Tally
from edge_node.workers.messages import Drain, Stop
from edge_node.workers.metrics import WorkerMetrics
from edge_node.workers.process import WorkerProcess
from edge_node.workers.roll import Roll
from edge_node.workers.worker import Worker
from reprise.cli.restart import Record
from reprise.log import get_logger

log = get_logger()
START_S_MAX = 20.0
SILENT_S_MAX = 5.0
PURGE_S_MAX = 0.5
PULL_S_MAX = 0.5
STOP_S_MAX = 3.0
_WATCH_S = 1.0


class Crew:
    """A worker per listener. `environment` is what workers read their settings from."""

    def __init__(
        self,
        node: Node,
        store: Store,
        roll: Roll,
        listeners: Sequence[socket.socket],
        environment: Mapping[str, str],
        metrics: WorkerMetrics,
    ) -> None:
        self._node = node
        self._store = store
        self._roll = roll
        self._listeners = listeners
        self._environment = environment
        self._metrics = metrics
        self._were_all_listening = False
        store.ram.on_gone = store.disk.index.on_gone = self._gone

    @property
    def port(self) -> int:
        """Where all of them listen."""
        return int(self._listeners[0].getsockname()[1])

    def missing(self) -> str:
        """What is missing for the edge to take listeners: at first every worker has to listen, later one will do."""
        listening, wanted = self._roll.listening, len(self._listeners)
        self._were_all_listening = self._were_all_listening or listening == wanted
        if listening and self._were_all_listening:
            return ""
        return f"{wanted - listening} of {wanted} workers are not listening yet"

    async def run(self) -> None:
        """Keeps the workers running until cancelled, then ends them."""
        log.info("workers_share_port", http_port=self.port, workers=len(self._listeners))
        try:
            async with asyncio.TaskGroup() as group:
                for number, listener in enumerate(self._listeners, 1):
                    group.create_task(self._keep(number, listener), name=f"worker.{number}")
                group.create_task(self._watch(), name="workers.watch")
                group.create_task(self._announce_drain(), name="workers.drain")
        finally:
            await self._stop()

    async def refresh(self) -> None:
        """Brings the figures of all workers up to date, as far as they answer in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PULL_S_MAX):
                await asyncio.gather(*(worker.pull() for worker in self._roll.workers.values() if worker.listening))

    def tally(self) -> Tally:
        """What the workers do."""
        return self._roll.tally

    async def purge(self, rendition_id: str) -> None:
        """Takes a rendition down in every process; raises what the store raises."""
        # Who is not listening yet has no lease.
        workers = [worker for worker in self._roll.workers.values() if worker.listening]
        told = [asyncio.create_task(self._purge(worker, rendition_id)) for worker in workers]
        try:
            # The store has let go before this first waits, so no worker can lease it again before it hears of the purge.
            await self._node.purge(rendition_id)
        finally:
            if told:
                await asyncio.wait(told)

    # Inside

    async def _keep(self, number: int, listener: socket.socket) -> None:
        record = Record()
        while True:
            await asyncio.sleep(record.pause_s)
            started = time.monotonic()
            cause = await self._run_worker(number, listener)
            record = record.after_death(started, time.monotonic())
            self._metrics.restarts[cause] += 1

    async def _run_worker(self, number: int, listener: socket.socket) -> str:
        """One worker from its start to its end; returns why it ended."""
        process = WorkerProcess(number, listener, self._environment)
        worker = Worker(number, process, self._node, self._store, self._roll)
        self._roll.enter(worker)
        log.info("worker_started", worker=number, pid=worker.pid)
        # Cancelled here, the worker stays on the roll: it still has responses to finish, see `_stop`.
        cause = await worker.wait_end()
        self._roll.give_back(worker)
        return cause

    async def _stop(self) -> None:
        """Lets the workers finish what they send, for a bounded time."""
        ends = {}
        for worker in self._roll.workers.values():
            worker.send(Stop())
            ends[asyncio.create_task(worker.wait_end())] = worker
        for listener in self._listeners:
            listener.close()
        if not ends:
            return
        _, late = await asyncio.wait(ends, timeout=STOP_S_MAX)
        for end in late:
            ends[end].kill("late")
        if late:
            await asyncio.wait(late)

    def _gone(self, key: Key) -> None:
        """The store has let go of something."""
        for worker in self._roll.workers.values():
            worker.lessor.changed(key)

    async def _watch(self) -> None:
        """Asks every worker for its figures now and then, and kills those that do not answer."""
        while True:
            await asyncio.sleep(_WATCH_S)
            await self.refresh()
            now = time.monotonic()
            for worker in self._roll.workers.values():
                if not worker.listening and now - worker.started_at > START_S_MAX:
                    worker.kill("start")
                elif worker.listening and now - worker.heard_at > SILENT_S_MAX:
                    worker.kill("hung")

    async def _announce_drain(self) -> None:
        await self._node.draining.wait()
        for worker in self._roll.workers.values():
            worker.send(Drain())

    async def _purge(self, worker: Worker, rendition_id: str) -> None:
        try:
            async with asyncio.timeout(PURGE_S_MAX):
                await worker.purge(rendition_id)
        except TimeoutError:
            # It may still be sending what must not be heard any more.
            log.warning("worker_did_not_purge", worker=worker.number, rendition_id=rendition_id)
            worker.kill("purge")
