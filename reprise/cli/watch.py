"""`reprise status --watch`: what a balancer tells of the mesh, again and again, until interrupted.

Follows one balancer at a time. When it ends, dies or falls silent the next one is asked, and when none answers all of them
again, a second later: a watch outlives every balancer.
"""

import asyncio
import json
import shutil
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import grpc

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerAdminServiceStub
from reprise.cli.mesh_file import Mesh, Place
from reprise.cli.mesh_view import EventLine, MeshView, view_of
from reprise.cli.narrator import Narrator
from reprise.cli.watch_screen import EVENTS_SHOWN, screen
from reprise.errors import RepriseError, Unavailable

RETRY_S = 1.0
# Lines of the screen that are neither region, edge nor event.
HEADINGS = 8
# So long after its next look was due a balancer counts as hanging.
SILENCE_S = 3.0


@dataclass(frozen=True, slots=True)
class Silence:
    """A balancer that tells nothing any more, and why."""

    reason: str


async def on_screen(mesh: Mesh, new_token: Callable[[], str], interval_s: float) -> None:
    """Draws the mesh until cancelled; a file gets one picture after the other."""
    events: deque[EventLine] = deque(maxlen=EVENTS_SHOWN)
    trouble = ""
    last: MeshView | None = None
    with Narrator().live() as draw:
        async with aclosing(follow(mesh, new_token, interval_s)) as told:
            async for word in told:
                if isinstance(word, MeshView):
                    last, trouble = word, ""
                    events.extend(word.events)
                else:
                    trouble = word.reason
                draw(screen(last, events, trouble, edges_max=_rows_left(last)))


def _rows_left(view: MeshView | None) -> int:
    """How many edges fit on the terminal beside the rest; all of them into a file."""
    if view is None or not sys.stdout.isatty():
        return sys.maxsize
    return shutil.get_terminal_size().lines - len(view.regions) - EVENTS_SHOWN - HEADINGS


async def as_lines(mesh: Mesh, new_token: Callable[[], str], interval_s: float) -> None:
    """Writes one JSON document per look, and what goes wrong to standard error, until cancelled."""
    async with aclosing(follow(mesh, new_token, interval_s)) as told:
        async for word in told:
            if isinstance(word, MeshView):
                sys.stdout.write(json.dumps(word.as_json()) + "\n")
                sys.stdout.flush()
            else:
                sys.stderr.write(f"{word.reason}\n")


async def follow(mesh: Mesh, new_token: Callable[[], str], interval_s: float) -> AsyncGenerator[MeshView | Silence]:
    """What the balancers tell, one after the other. Raises what a balancer says of the call itself."""
    while True:
        for balancer in mesh.balancers:
            async with aclosing(_look(balancer, new_token(), interval_s)) as looks:
                try:
                    async for look in looks:
                        yield look
                    reason = f"{balancer.name} is stopping"
                except Unavailable as error:
                    reason = error.message
            yield Silence(reason)
        await asyncio.sleep(RETRY_S)


async def _look(balancer: Place, token: str, interval_s: float) -> AsyncGenerator[MeshView]:
    async with rpc.channel(balancer.grpc) as channel:
        request = pb.WatchMeshRequest(interval_ms=round(interval_s * 1000))
        call = BalancerAdminServiceStub(channel).WatchMesh(request, metadata=rpc.bearer_metadata(token))
        try:
            while True:
                async with asyncio.timeout(interval_s + SILENCE_S):
                    message = await call.read()
                if not isinstance(message, pb.WatchMeshResponse):
                    return
                yield view_of(balancer.name, message.mesh, message.events)
        except TimeoutError:
            raise Unavailable(f"{balancer.name} {balancer.grpc} does not answer") from None
        except grpc.aio.AioRpcError as error:
            raise _named(error, balancer) from None
        finally:
            call.cancel()


def _named(error: grpc.aio.AioRpcError, balancer: Place) -> RepriseError:
    return rpc.error_of(error, f"{balancer.name} {balancer.grpc}")
