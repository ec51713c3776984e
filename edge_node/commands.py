"""Commands from a balancer: prewarm, purge, drain. Each is answered once; none blocks the line it came by."""

import asyncio
from collections.abc import Awaitable, Callable

from edge_node.node import Node
from edge_node.store import Store
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.errors import RepriseError
from reprise.ids import check_sha256
from reprise.log import get_logger

log = get_logger()
# Prewarming must not starve listeners of the upstream: a few songs at a time.
PREWARMS_AT_ONCE_MAX = 4


class Commands:
    """Obeys commands on one node. `purge` takes a rendition down in all processes of the edge; `drain` is called with the
    deadline in seconds and starts the end of the process."""

    def __init__(
        self,
        node: Node,
        store: Store,
        purge: Callable[[str], Awaitable[None]],
        drain: Callable[[float], None],
    ) -> None:
        self._node = node
        self._store = store
        self._purge = purge
        self._drain = drain
        self._slots = asyncio.Semaphore(PREWARMS_AT_ONCE_MAX)

    async def run(self, command: messages.Command) -> messages.CommandResult:
        """Carries out a command and answers for it."""
        action = command.WhichOneof("action")
        log.info("command", action=action, command_id=command.command_id)
        try:
            detail = await self._act(command, action)
        except RepriseError as error:
            return messages.CommandResult(command_id=command.command_id, ok=False, detail=error.message)
        return messages.CommandResult(command_id=command.command_id, ok=True, detail=detail)

    async def _act(self, command: messages.Command, action: str | None) -> str:
        if action == "prewarm":
            ids = [check_sha256(r, "rendition_id") for r in command.prewarm.rendition_ids]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._prewarm(r, prefix_only=command.prewarm.prefix_only)) for r in ids]
            failures = [error for task in tasks if (error := task.result())]
            if failures:
                raise failures[0]
            return f"{len(ids)} renditions are here"
        if action == "purge":
            for rendition_id in command.purge.rendition_ids:
                await self._purge(check_sha256(rendition_id, "rendition_id"))
            return f"{len(command.purge.rendition_ids)} renditions are gone"
        self._drain(float(command.drain.deadline_s))
        return f"draining {self._node.streams + self._node.streams_elsewhere} streams"

    async def _prewarm(self, rendition_id: str, *, prefix_only: bool) -> RepriseError | None:
        async with self._slots:
            try:
                await self._node.prewarm(rendition_id, prefix_only=prefix_only)
                self._store.keep(rendition_id)
            except RepriseError as error:
                return error
        return None
