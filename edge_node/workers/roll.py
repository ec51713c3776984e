"""The workers that run, and everything that is counted over them and the node process together."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from edge_node.access import Gate
from edge_node.node import Node
from edge_node.tally import Tally, added, departed
from edge_node.workers.figures import EdgeRegistry, Series, Values, values_of
from edge_node.workers.messages import AskPage, Drain, Elsewhere, Figures, Page, Playing
from edge_node.workers.metrics import WorkerMetrics, WorkerState
from edge_node.workers.stream_counts import StreamCounts
from edge_node.workers.worker import Worker
from reprise.http_message import Response

# The node process among the processes that have streams.
NODE = 0


class Roll:
    """Is each worker's `Foreman`. `page` writes a page that only the node process can write."""

    def __init__(
        self,
        node: Node,
        gate: Gate,
        registry: EdgeRegistry,
        metrics: WorkerMetrics,
        page: Callable[[str], Awaitable[Response]],
    ) -> None:
        self.workers: dict[int, Worker] = {}
        self._node = node
        self._gate = gate
        self._registry = registry
        self._page = page
        self._counts = StreamCounts()
        self._held: dict[int, set[str]] = {}
        self._values: dict[int, Values] = {}
        self._departed = Tally()
        self._changed: set[str] = set()
        self._pages: set[asyncio.Task[None]] = set()
        metrics.states = self._states
        gate.on_stream = lambda grant_id, change: self._count(NODE, {grant_id: change})

    @property
    def tally(self) -> Tally:
        """What all workers do, and what those did that are gone."""
        return added((self._departed, *(worker.tally for worker in self.workers.values())))

    @property
    def listening(self) -> int:
        """Workers that take connections."""
        return sum(worker.listening for worker in self.workers.values())

    def enter(self, worker: Worker) -> None:
        """A worker has been started."""
        self.workers[worker.number] = worker

    def give_back(self, worker: Worker) -> None:
        """A worker is gone."""
        del self.workers[worker.number]
        self._departed = added((self._departed, departed(worker.tally)))
        self._registry.give_back(worker.number)
        self._values.pop(worker.number, None)
        self._tell_soon(self._counts.give_back(worker.number))
        for grant_id in self._held.pop(worker.number, ()):
            self._node.sessions.leave(grant_id, time.monotonic())

    # For workers

    def listening_now(self, worker: Worker) -> None:
        """Brings a new worker up to date."""
        grants = self._counts.of_grants_elsewhere(worker.number, self._counts.grant_ids)
        worker.send(Elsewhere(self._streams_elsewhere(worker.number), grants))
        if self._node.draining.is_set():
            worker.send(Drain())

    def streams(self, worker: Worker, grants: dict[str, int]) -> None:
        """Streams of a worker began or ended."""
        self._count(worker.number, grants)

    def playing(self, worker: Worker, playing: Playing) -> None:
        """Sessions of a worker began, ended, or went over to another rendition."""
        sessions, now = self._node.sessions, time.monotonic()
        held = self._held.setdefault(worker.number, set())
        for (grant_id, rendition_id), bps in playing.playing.items():
            if grant_id in held:
                sessions.touch(grant_id, rendition_id, bps, now)
            else:
                held.add(grant_id)
                sessions.begin(grant_id, rendition_id, bps, now)
        for grant_id in held.intersection(playing.over):
            held.discard(grant_id)
            sessions.leave(grant_id, now)

    def crowd(self) -> None:
        """Listeners of a worker wait for one another's fill."""
        self._node.crowd_grew()

    def figures(self, worker: Worker, figures: Figures) -> None:
        """A worker has told its figures."""
        values = values_of(tuple(sample) for sample in figures.samples)
        self._values[worker.number] = values
        self._registry.take(worker.number, values)
        self._gate.see(figures.seen_grants)

    def page(self, worker: Worker, ask: AskPage) -> None:
        """A worker was asked for a page."""
        task = asyncio.get_running_loop().create_task(self._write_page(worker, ask))
        self._pages.add(task)
        task.add_done_callback(self._pages.discard)

    # Inside

    def _count(self, process: int, grants: dict[str, int]) -> None:
        self._counts.change(process, grants)
        self._tell_soon(list(grants))

    def _tell_soon(self, grant_ids: list[str]) -> None:
        """All changes of one turn of the loop go together."""
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._tell)
        self._changed.update(grant_ids)

    def _tell(self) -> None:
        grant_ids = list(self._changed)
        self._changed.clear()
        self._node.count_elsewhere(self._counts.elsewhere(NODE))
        self._gate.count_elsewhere(self._counts.of_grants_elsewhere(NODE, grant_ids))
        for number, worker in self.workers.items():
            grants = self._counts.of_grants_elsewhere(number, grant_ids)
            worker.send(Elsewhere(self._streams_elsewhere(number), grants))

    def _streams_elsewhere(self, worker: int) -> int:
        """Other edges' streams are the node process's too, and have no grant of a listener."""
        of_workers = self._counts.elsewhere(worker) - self._counts.streams(NODE)
        return of_workers + self._node.streams

    async def _write_page(self, worker: Worker, ask: AskPage) -> None:
        response = await self._page(ask.path)
        assert isinstance(response.headers, tuple)
        assert isinstance(response.body, bytes)
        content_type = dict(response.headers).get("content-type", "text/plain")
        worker.send(Page(ask.ask, response.status, content_type, response.body))

    def _states(self) -> dict[int, WorkerState]:
        return {number: self._state(worker) for number, worker in sorted(self.workers.items()) if worker.listening}

    def _state(self, worker: Worker) -> WorkerState:
        values = self._values.get(worker.number, {})
        return WorkerState(
            streams=self._counts.streams(worker.number),
            leases=worker.lessor.leases,
            cpu_s=values.get(Series("reprise_edge_process_cpu_seconds_total", ()), 0.0),
            loop_lag_s=values.get(Series("reprise_edge_loop_lag_seconds", ()), 0.0),
            resident_bytes=values.get(Series("reprise_edge_process_resident_memory_bytes", ()), 0.0),
        )
