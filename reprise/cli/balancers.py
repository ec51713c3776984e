"""Asking the balancers of a mesh: any of them will do, and the one that answered last is asked first.

A balancer that is gone refuses at once; one that hangs costs PATIENCE_S once, because it is asked last from then on. Only
Unavailable sends a call to the next: what a balancer says about the call itself, the others would say too.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc

from reprise import rpc
from reprise.cli.mesh_file import Place
from reprise.errors import RepriseError, Unavailable

# How long one balancer may be silent while there are others to ask.
PATIENCE_S = 1.0
T = TypeVar("T")
# What goes with a call, made when it is made: tokens are renewed meanwhile.
Metadata = Callable[[], Awaitable[tuple[tuple[str, str], ...]]]


class Balancers:
    """The balancers of one mesh, for as long as a command needs them. Closes its channels with its context."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._channels = rpc.Channels()
        # Best first. Commands begin anywhere, so that no balancer is everybody's first.
        self._order = random.sample(places, len(places))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._channels.close()

    async def ask(
        self,
        call: Callable[[grpc.aio.Channel, float], Awaitable[T]],
        deadline_s: float,
        patience_s: float = PATIENCE_S,
    ) -> T:
        """The first answer; `call` is given a channel and the seconds it may take. The last one asked has until the deadline.

        Raises what a balancer says of the call, or Unavailable with the last one's reason when none answers.
        """
        last: RepriseError = Unavailable("this mesh has no balancer")
        order = tuple(self._order)
        for place in order:
            channel = self._channels.to(place.grpc)
            try:
                answer = await call(channel, deadline_s if place is order[-1] else min(patience_s, deadline_s))
            except grpc.aio.AioRpcError as error:
                last = rpc.error_of(error, f"{place.name} {place.grpc}")
                if not isinstance(last, Unavailable):
                    raise last from None
                continue
            # Other calls may have changed the order meanwhile.
            self._order = [place, *(other for other in self._order if other is not place)]
            return answer
        raise last
