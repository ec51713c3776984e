"""What a listener tells the balancers of its plays: how each edge that was asked did. Best effort: nobody waits for it long,
and nobody hears of it when it fails.

An edge is spoken of only where the play says something about it: not when the listener stopped, when the song is not there, or
when the grant was wrong.
"""

import asyncio
from collections import deque
from contextlib import suppress

from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceStub
from reprise.cli.balancers import Balancers, Metadata
from reprise.cli.failover import Attempt
from reprise.cli.http_fetch import NotReached
from reprise.errors import DataCorrupt, QuotaExceeded, RepriseError, Unavailable

DEADLINE_S = 0.5
# As many as one call may carry; of a play that failed more often the last ones tell enough.
REPORTS_MAX = 50


def outcome(delivered: int, error: Exception | None) -> pb.PlayOutcome.ValueType:
    """How an attempt went that gave so many bytes and ended with this error, if any; UNSPECIFIED says nothing of the edge."""
    match error:
        case None:
            return pb.PLAY_OUTCOME_STARTED
        case QuotaExceeded():
            return pb.PLAY_OUTCOME_REFUSED
        case Unavailable() | TimeoutError() | DataCorrupt() if delivered:
            return pb.PLAY_OUTCOME_BROKEN
        case NotReached():
            return pb.PLAY_OUTCOME_CONNECT_FAILED
        case Unavailable() | TimeoutError() | DataCorrupt():
            return pb.PLAY_OUTCOME_NO_FIRST_BYTE
    return pb.PLAY_OUTCOME_UNSPECIFIED


class PlayReports:
    """The reports of one listener that no balancer has been sent yet."""

    def __init__(self, balancers: Balancers, metadata: Metadata) -> None:
        self._balancers = balancers
        self._metadata = metadata
        self._plays: deque[pb.PlayReport] = deque(maxlen=REPORTS_MAX)

    def add(self, attempt: Attempt, delivered: int, first_byte_s: float, error: Exception | None) -> None:
        """One attempt is over; `first_byte_s` is 0 when there was none."""
        how = outcome(delivered, error)
        if how != pb.PLAY_OUTCOME_UNSPECIFIED:
            first_byte_ms = max(1, round(first_byte_s * 1000)) if delivered else 0
            self._plays.append(pb.PlayReport(grant=attempt.candidate.grant, outcome=how, first_byte_ms=first_byte_ms))

    async def send(self) -> None:
        """Sends what there is to a balancer that answers within half a second, and forgets it either way."""
        request = pb.ReportPlaysRequest(plays=self._plays)
        self._plays.clear()
        if not request.plays:
            return
        with suppress(RepriseError, TimeoutError):
            async with asyncio.timeout(DEADLINE_S):
                metadata = await self._metadata()
                await self._balancers.ask(
                    lambda channel, timeout_s: BalancerServiceStub(channel).ReportPlays(
                        request, metadata=metadata, timeout=timeout_s
                    ),
                    DEADLINE_S,
                )
