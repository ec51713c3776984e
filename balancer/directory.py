"""The edge directory in Valkey: so that a restarted balancer knows where to look for edges before they report.

Never on the path of a route: one background task reads once and writes every few seconds. What it reads makes suspects, never
edges that get work while others are there. Without Valkey, or with one that hangs, nothing else changes: calls end after
0.2 s and one retry, then rest with growing pauses, and an outage is one line in the log.

Each bucket is a hash of the edges seen in five minutes, and expires by itself, so the directory never outgrows the mesh.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.typing import EncodableT, FieldT

from balancer.edges import EdgeIdentity, check_identity
from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from reprise.config import ConfigError
from reprise.errors import InvalidRequest
from reprise.log import get_logger

log = get_logger()

BUCKET_S = 300
MIRROR_S = 5.0
PAUSE_S_MAX = 30.0
TIMEOUT_S = 0.2


def connect(url: str) -> Redis:
    """A client with every wait bounded; raises ConfigError when `url` is not one. Connects on first use."""
    try:
        return Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
            max_connections=2,
            decode_responses=True,
        )
    except ValueError as error:
        raise ConfigError(f"valkey_url is not a Valkey address such as redis://host:port/0: {error}") from None


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

    def __init__(
        self,
        client: Redis,
        mesh: Mesh,
        metrics: BalancerMetrics,
        clock: Callable[[], float],
        unix_s: Callable[[], float],
    ) -> None:
        self.was_read = False
        self._client = client
        self._mesh = mesh
        self._failures = metrics.directory_failures
        self._up = metrics.directory_up
        self._clock = clock
        self._unix_s = unix_s
        self._lost = False

    async def run(self) -> None:
        """Until cancelled."""
        pause = MIRROR_S
        while True:
            try:
                if not self.was_read:
                    await self._restore()
                await self._mirror()
            except (RedisError, OSError) as error:
                self._note_failure(error)
                pause = min(2 * pause, PAUSE_S_MAX)
            else:
                self._note_success()
                pause = MIRROR_S
            await asyncio.sleep(pause)

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

    def _note_failure(self, error: Exception) -> None:
        self._failures.inc()
        self._up.set(0)
        if not self._lost:
            log.warning("valkey_lost", error=str(error)[:200])
        self._lost = True

    def _note_success(self) -> None:
        self._up.set(1)
        if self._lost:
            log.info("valkey_back")
        self._lost = False
