"""What waits to be sent on one report stream: whether the view is due, and commands in order.

The view is a fact, not an event: however often it changed since the edge last read, it is sent once, as it is then.
"""

import asyncio
from collections import deque
from enum import Enum
from typing import Final, Literal

from balancer.commands import OPEN_MAX, Command
from reprise.errors import RepriseError


class Due(Enum):
    """Send the view as it is now."""

    VIEW = "view"


VIEW: Final = Due.VIEW


class Outbox:
    """Filled by anyone, emptied by the stream's writer. Bounded by the commands that may be unanswered."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._view_due = True
        self._commands: deque[Command] = deque(maxlen=OPEN_MAX)
        self._end: RepriseError | None = None

    def view_due(self) -> None:
        self._view_due = True
        self._wake.set()

    def send(self, command: Command) -> None:
        self._commands.append(command)
        self._wake.set()

    def end(self, reason: RepriseError) -> RepriseError:
        """Ends the stream; returns what the edge is told: `reason`, or the one given before."""
        self._end = self._end or reason
        self._wake.set()
        return self._end

    async def next(self) -> Command | Literal[Due.VIEW]:
        """What to send next, once there is something; raises the reason when the stream is to end."""
        while True:
            if self._end is not None:
                raise self._end
            if self._view_due:
                self._view_due = False
                return VIEW
            if self._commands:
                return self._commands.popleft()
            self._wake.clear()
            await self._wake.wait()
