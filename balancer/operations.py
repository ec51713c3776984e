"""What operators may do: look at the mesh, and order edges to warm, drop or drain."""

from collections.abc import AsyncGenerator, Sequence

from balancer.commands import Action, Answer, Drain, Prewarm, Purge
from balancer.events import Kind
from balancer.mesh import Mesh
from balancer.purging import Purging
from balancer.reports import Reports
from balancer.song_lookup import SongLookup
from balancer.watching import Look, Snapshot, Watching


class Operations:
    """The operators' side of the balancer; callers have been checked already."""

    def __init__(self, mesh: Mesh, reports: Reports, purging: Purging, lookup: SongLookup, watching: Watching) -> None:
        self._mesh = mesh
        self._reports = reports
        self._purging = purging
        self._lookup = lookup
        self._watching = watching

    def mesh(self) -> Snapshot:
        """Every edge and region, and the epoch of the view."""
        return self._watching.snapshot()

    def watch(self, interval_s: float) -> AsyncGenerator[Look]:
        """The same again and again, with what happened in between; ends when this balancer stops."""
        return self._watching.watch(interval_s)

    async def send(self, edge_ids: Sequence[str], action: Action) -> list[Answer]:
        """Sends to these edges, or to all that are connected, and waits for what becomes of it.

        A purge reaches the edges that are away too, when they are back.
        """
        named = tuple(dict.fromkeys(edge_ids))
        for edge_id in named:
            self._mesh.edge(edge_id)
        self._watching.note(Kind.COMMAND, named[0] if len(named) == 1 else "", f"{_words(action)} {_whom(named)}")
        if isinstance(action, Purge):
            self._lookup.forget(action.rendition_ids)
            return await self._purging.order(named, action.rendition_ids)
        return await self._reports.ask(named, action)

    async def rendition_ids(self, song_ids: Sequence[str]) -> tuple[str, ...]:
        """All renditions of these songs; raises NotFound that names the first song without any."""
        return tuple(rendition.rendition_id for rendition in await self._lookup.renditions(song_ids))


def _words(action: Action) -> str:
    match action:
        case Prewarm(rendition_ids, prefix_only):
            return f"prewarm {len(rendition_ids)} renditions{', their beginnings only,' if prefix_only else ''}"
        case Purge(rendition_ids):
            return f"purge {len(rendition_ids)} renditions"
        case Drain(deadline_s):
            return f"drain within {deadline_s} s"


def _whom(edge_ids: Sequence[str]) -> str:
    return f"on {len(edge_ids)} edges" if edge_ids else "on every edge"
