"""Commands from a balancer: prewarm, purge, drain. Each is answered once; none blocks the line it came by."""

from collections.abc import Awaitable, Callable

from edge_node.node import Node
from edge_node.prewarming import Prewarming
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.errors import RepriseError, Unavailable
from reprise.ids import check_sha256
from reprise.log import get_logger

log = get_logger()


class Commands:
    """Obeys commands on one node. `purge` takes a rendition down in all processes of the edge; `drain` is called with the
    deadline in seconds and starts the end of the process."""

    def __init__(
        self,
        node: Node,
        prewarming: Prewarming,
        purge: Callable[[str], Awaitable[None]],
        drain: Callable[[float], None],
    ) -> None:
        self._node = node
        self._prewarming = prewarming
        self._purge = purge
        self._drain = drain

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
            return await self._prewarm(command.prewarm)
        if action == "purge":
            for rendition_id in command.purge.rendition_ids:
                await self._purge(check_sha256(rendition_id, "rendition_id"))
            return f"{len(command.purge.rendition_ids)} renditions are gone"
        self._drain(float(command.drain.deadline_s))
        return f"draining {self._node.streams + self._node.streams_elsewhere} streams"

    async def _prewarm(self, wanted: messages.Prewarm) -> str:
        ids = [check_sha256(r, "rendition_id") for r in wanted.rendition_ids]
        failures = await self._prewarming.bring(
            ids, prefix_only=wanted.prefix_only, origin_bps_max=wanted.origin_bps_max
        )
        if failures:
            raise Unavailable(f"{len(failures)} of {len(ids)} renditions did not come: {failures[0].message}")
        return f"{len(ids)} renditions are here"
