"""Brings spooled actions to the database when it is back, those of each listener's song in order.

In between others may have acted, so each action counts as late: it moves the pointer unless another device's action came that
it did not know of. Of actions in the same spool the order is known, so one that stands after another has known that one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from catalog.database import Database
from catalog.resuming.actions import Committed, commit
from catalog.resuming.journal import Spooled
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.resume import Outcome, Save, knowing
from catalog.resuming.spool import Spool
from reprise.errors import NotFound, Unavailable
from reprise.log import get_logger

log = get_logger()

LOOK_S = 0.5
AT_ONCE = 4
_OUTCOMES = {Outcome.ACCEPTED: "applied", Outcome.APART: "apart", Outcome.RESENT: "known", Outcome.STALE: "known"}


class Replayer:
    """Empties the spool of one catalog."""

    def __init__(self, database: Database, spool: Spool, metrics: ResumeMetrics) -> None:
        self._database = database
        self._spool = spool
        self._count = metrics.spool_replayed

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._spool and self._database.primary_dsn is not None:
                await self.replay()

    async def replay(self) -> bool:
        """Whether everything that was on disk is in the database now."""
        revisions: dict[tuple[str, str], int] = {}
        for segment in self._spool.seal():
            try:
                await self._replay_all(segment.records, revisions)
            except Unavailable:
                return False
            self._spool.drop(segment)
            log.info("spool_replayed", records=len(segment.records))
        return True

    async def _replay_all(self, records: Iterable[Spooled], revisions: dict[tuple[str, str], int]) -> None:
        songs: dict[tuple[str, str], list[Save]] = defaultdict(list)
        for record in records:
            songs[record.user_id, record.save.point.song_id].append(record.save)
        left = iter(songs.items())

        async def work() -> None:
            for (user_id, song_id), saves in left:
                revisions[user_id, song_id] = await self._replay(user_id, saves, revisions.get((user_id, song_id), 0))

        # All end before an error of one goes on: what is replayed again must not overtake itself.
        ends = await asyncio.gather(*(work() for _ in range(AT_ONCE)), return_exceptions=True)
        for error in ends:
            if isinstance(error, BaseException):
                raise error

    async def _replay(self, user_id: str, saves: Iterable[Save], revision: int) -> int:
        """The revision that those who stand behind these have known."""
        for save in saves:
            try:
                committed = await self._commit(user_id, knowing(save, revision))
            except NotFound as error:
                self._count.labels("dropped").inc()
                log.warning("spooled_action_dropped", device_id=save.point.device_id, error=error.message)
                continue
            self._count.labels(_OUTCOMES[committed.outcome]).inc()
            # As in `State.with_all`.
            if committed.outcome is not Outcome.STALE:
                revision = max(revision, committed.point.revision)
        return revision

    async def _commit(self, user_id: str, save: Save) -> Committed:
        return await self._database.write(lambda connection: commit(connection, user_id, save))
