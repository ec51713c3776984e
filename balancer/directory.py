"""The edge directory in Valkey: so that a restarted balancer knows where to look for edges before they report.

Read once, written every few seconds, never on the path of a route. What it reads makes suspects, never edges that get work
while others are there.

Each bucket is a hash of the edges seen in five minutes, and expires by itself, so the directory never outgrows the mesh.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict

from redis.asyncio import Redis
from redis.typing import EncodableT, FieldT

from balancer.edges import EdgeIdentity, check_identity
from balancer.mesh import Mesh
from reprise.errors import InvalidRequest
from reprise.log import get_logger

log = get_logger()

BUCKET_S = 300
MIRROR_S = 5.0


def encode(identity: EdgeIdentity) -> str:
    return json.dumps(asdict(identity))


def decode(text: str) -> EdgeIdentity | None:
    """The edge that `encode` wrote; None when the text is anything else."""
    try:
        return check_identity(EdgeIdentity(**json.loads(text)))
    except (ValueError, TypeError, InvalidRequest):
        return None


class Directory:
    """Mirrors the ready edges of a mesh, and once brings back those of before."""

    def __init__(self, client: Redis, mesh: Mesh, clock: Callable[[], float], unix_s: Callable[[], float]) -> None:
        self.was_read = False
        self._client = client
        self._mesh = mesh
        self._clock = clock
        self._unix_s = unix_s
        self._mirrored_at = -math.inf

    async def refresh(self) -> None:
        """A chore of the `ValkeyLine`."""
        if not self.was_read:
            await self._restore()
        if self._clock() - self._mirrored_at >= MIRROR_S:
            await self._mirror()
            self._mirrored_at = self._clock()

    async def _restore(self) -> None:
        unreadable = 0
        for key in (self._bucket(0), self._bucket(-1)):
            for text in (await self._client.hgetall(key)).values():
                identity = decode(str(text))
                if identity is None:
                    unreadable += 1
                else:
                    self._mesh.restore(identity, self._clock())
        self.was_read = True
        if unreadable:
            log.warning("directory_entries_skipped", count=unreadable, key=self._bucket(0))

    async def _mirror(self) -> None:
        edges: dict[FieldT, EncodableT] = {edge.edge_id: encode(edge) for edge in self._mesh.ready()}
        if not edges:
            await self._client.ping()
            return
        await self._client.hset(self._bucket(0), mapping=edges)
        await self._client.expire(self._bucket(0), 3 * BUCKET_S)

    def _bucket(self, offset: int) -> str:
        return f"reprise:balancer:edges:{int(self._unix_s() // BUCKET_S) + offset}"
