"""Report streams: one per edge, reports and answers up, the mesh view and commands down.

The end of a stream is the fastest sign of an edge's death, so the reading side owns it: whatever ends the reading (the edge,
the network, a wrong message, this balancer) makes the edge suspect at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from balancer.callers import Callers
from balancer.commands import ANSWER_S_MAX, Action, Answer, Command, OpenCommands
from balancer.edges import EdgeIdentity, EdgeLoad, check_identity
from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from balancer.minting import Mint
from balancer.outbox import VIEW, Outbox
from balancer.views import View, ViewWriter
from reprise.errors import Conflict, Forbidden, InvalidRequest, RepriseError, Unavailable
from reprise.log import get_logger

log = get_logger()

HELLO_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class CommandResult:
    """An edge's answer to a command."""

    command_id: str
    ok: bool
    detail: str


Incoming = EdgeIdentity | EdgeLoad | CommandResult
Outgoing = View | Command


class Session:
    """One edge's stream, from its hello to its end."""

    def __init__(self, identity: EdgeIdentity, stream: int, mint: Mint, metrics: BalancerMetrics) -> None:
        self.identity = identity
        self.stream = stream
        self.outbox = Outbox()
        self.commands = OpenCommands(identity.edge_id, self.outbox.send, metrics)
        self.views = ViewWriter(identity.edge_id, mint)
        self.ended = False


class Reports:
    """All report streams."""

    def __init__(
        self, mesh: Mesh, callers: Callers, mint: Mint, metrics: BalancerMetrics, clock: Callable[[], float]
    ) -> None:
        self._mesh = mesh
        self._callers = callers
        self._mint = mint
        self._metrics = metrics
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._stopping = False
        mesh.on_view(self._view_changed)

    async def serve(self, token: str, messages: AsyncIterator[Incoming]) -> AsyncIterator[Outgoing]:
        """One stream, until either side ends it."""
        session = await self._open(self._callers.edge(token), messages)
        reader = asyncio.create_task(self._read(session, messages), name=f"reports.{session.identity.edge_id}")
        try:
            while True:
                due = await session.outbox.next()
                yield self._view_for(session) if due is VIEW else due
        finally:
            # Cancelled before its first step the reader would close nothing; left at the yield above, this line waits for
            # the garbage collector. So both sides close, and the first one counts.
            reader.cancel()
            self._close(session, Unavailable("the report stream was cancelled"))

    async def ask(self, edge_ids: Sequence[str], action: Action) -> list[Answer]:
        """Sends a command to each edge and gathers what became of it; no edge ids means every connected edge."""
        for edge_id in edge_ids:
            self._mesh.edge(edge_id)
        return await asyncio.gather(*(self.ask_edge(edge_id, action) for edge_id in edge_ids or self.connected()))

    async def ask_edge(self, edge_id: str, action: Action, seconds_max: float = ANSWER_S_MAX) -> Answer:
        """The same for one edge, whether it is known or not."""
        session = self._sessions.get(edge_id)
        if session is None:
            self._metrics.commands.labels("unreachable").inc()
            return Answer(edge_id, ok=False, detail="it is not connected to this balancer")
        return await session.commands.ask(action, seconds_max)

    def connected(self) -> list[str]:
        """The edges that have a report stream to this balancer."""
        return list(self._sessions)

    def renew_grants(self, now: float) -> None:
        """To be called now and then: has views sent again whose relay grants grow old."""
        for session in self._sessions.values():
            if now >= session.views.renew_at:
                session.outbox.view_due()

    async def stop(self) -> None:
        """Ends every stream and takes no new one, so that edges turn to another balancer at once."""
        self._stopping = True
        for session in self._sessions.values():
            session.outbox.end(Unavailable("this balancer is stopping"))

    async def _open(self, edge_id: str, messages: AsyncIterator[Incoming]) -> Session:
        try:
            async with asyncio.timeout(HELLO_S_MAX):
                hello = await anext(messages, None)
        except TimeoutError:
            raise InvalidRequest(f"no hello within {HELLO_S_MAX:g} s") from None
        if self._stopping:
            raise Unavailable("this balancer is stopping")
        if not isinstance(hello, EdgeIdentity):
            raise InvalidRequest("the first message of a report stream must be a hello")
        if check_identity(hello).edge_id != edge_id:
            raise Forbidden(f"the token is of edge {edge_id!r}, the hello of {hello.edge_id!r}")
        session = Session(hello, self._mesh.hello(hello, self._clock()), self._mint, self._metrics)
        older = self._sessions.get(edge_id)
        self._sessions[edge_id] = session
        if older is not None:
            older.outbox.end(Conflict(f"edge {edge_id} said hello on a newer stream (boot {hello.boot_id})"))
        log.info("edge_joined", edge=edge_id, region=hello.region, boot=hello.boot_id)
        return session

    async def _read(self, session: Session, messages: AsyncIterator[Incoming]) -> None:
        end: RepriseError = Unavailable("the edge closed its report stream")
        try:
            async for message in messages:
                self._take(session, message)
        except RepriseError as error:
            end = error
        finally:
            self._close(session, end)

    def _take(self, session: Session, message: Incoming) -> None:
        edge_id = session.identity.edge_id
        match message:
            case EdgeLoad():
                self._metrics.reports.labels("load").inc()
                if not self._mesh.report(edge_id, session.stream, message, self._clock()):
                    raise Conflict(f"edge {edge_id} has a newer report stream, or was silent for long: say hello again")
            case CommandResult():
                self._metrics.reports.labels("result").inc()
                session.commands.answered(message.command_id, ok=message.ok, detail=message.detail)
            case EdgeIdentity():
                raise InvalidRequest("a report stream has one hello: open a new stream")

    def _close(self, session: Session, reason: RepriseError) -> None:
        if session.ended:
            return
        session.ended = True
        told = session.outbox.end(reason)
        edge_id = session.identity.edge_id
        if self._sessions.get(edge_id) is session:
            del self._sessions[edge_id]
        log.info("report_stream_ended", edge=edge_id, boot=session.identity.boot_id, reason=told.message)
        self._metrics.streams_ended.labels(type(told).__name__).inc()
        session.commands.stream_ended()
        if not self._stopping:  # else the streams end because of us: the edges are as good as before
            self._mesh.lost(edge_id, session.stream, self._clock())

    def _view_changed(self) -> None:
        for session in self._sessions.values():
            session.outbox.view_due()

    def _view_for(self, session: Session) -> View:
        return session.views.write(self._mesh.epoch, self._mesh.alive(), self._clock())
