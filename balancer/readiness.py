"""When a balancer takes listeners.

Edges reconnect within a second of a balancer's start. Before that it would send everyone to the first edge that happened to
report, so it waits: until all edges that the directory remembers report, and without a directory two seconds. After that it
is ready whatever there is: with no edge it answers so, and a client tries the next balancer.
"""

from collections.abc import Callable

from balancer.membership import State
from balancer.mesh import Mesh

WAIT_S_MAX = 2.0


class Readiness:
    """Becomes ready once, and stays so. `directory_read` tells whether the mesh holds what was remembered."""

    def __init__(self, mesh: Mesh, directory_read: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._mesh = mesh
        self._directory_read = directory_read
        self._clock = clock
        self._started_at = clock()
        self._ready = False

    def missing(self) -> str:
        """What is missing; empty when nothing is."""
        self._ready = self._ready or self._all_report() or self._clock() - self._started_at >= WAIT_S_MAX
        return "" if self._ready else "edges that were here before have not reported yet"

    def _all_report(self) -> bool:
        states = self._mesh.states()
        return self._directory_read() and bool(states) and all(state is State.READY for state in states)
