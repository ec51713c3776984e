"""A worker's fills: each is an errand that the node process runs for it, and reports on chunk by chunk."""

from collections.abc import Callable
from dataclasses import dataclass

from edge_node.coalescing import UNKNOWN_COUNT, Outcome
from edge_node.live import Live
from edge_node.node import Node
from edge_node.workers.lease import LeasedStore
from edge_node.workers.messages import Cancel, Errand, Failed, Message, Progress

# What a reader that asked is called until the node process has said what it was to the fill.
ASKED = "asked"


@dataclass(frozen=True, slots=True)
class _Under:
    """A fill that is under way."""

    live: Live
    fill_id: int


class Errands:
    """The fills of a worker's node. `send` sends to the node process."""

    def __init__(self, store: LeasedStore, send: Callable[[Message], None]) -> None:
        self._store = store
        self._send = send
        self._number = 0
        self._under_way: dict[int, _Under] = {}

    def start(self, _node: Node, live: Live, fill_id: int, hops: int) -> str:
        """Sends for what the fill is to bring."""
        self._number += 1
        self._under_way[self._number] = _Under(live, fill_id)
        first, remaining = live.position(fill_id), live.remaining(fill_id)
        end = first + remaining if remaining < UNKNOWN_COUNT // 2 else None
        self._send(Errand(self._number, live.rendition_id, first, end, hops))
        return ASKED

    def progress(self, progress: Progress) -> None:
        """Chunks have come."""
        under = self._under_way.get(progress.errand)
        if under is None:
            return
        live, fill_id = under.live, under.fill_id
        manifest = self._store.manifest(live.rendition_id)
        if live.purged or manifest is None:
            self._end(progress.errand, Outcome.PURGED, "this song is no longer available")
            return
        live.opened(manifest)
        if progress.position > live.position(fill_id) or live.locate(progress.position) is not None:
            for reader in live.readers:
                reader.result = progress.how if reader.result == ASKED else reader.result
        while live.remaining(fill_id) > 0 and live.position(fill_id) < progress.position:
            live.landed(fill_id)
        if live.remaining(fill_id) <= 0:
            self._end(progress.errand, Outcome.STORED, "")

    def failed(self, failed: Failed) -> None:
        """What has not come will not."""
        if failed.errand in self._under_way:
            self._end(failed.errand, Outcome(failed.outcome), failed.reason)

    def _end(self, number: int, outcome: Outcome, reason: str) -> None:
        under = self._under_way.pop(number)
        self._send(Cancel(number))
        under.live.ended(under.fill_id, outcome, reason)
