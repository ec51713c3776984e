"""The purges of a day in Valkey, so that every balancer knows what edges that were away still have to drop.

One stream, appended to and read by all balancers: orders, and confirmations of edges. What a balancer wrote itself comes back
to it and changes nothing. While Valkey is gone, what is to be told waits here, no more of it than the purge log holds; what was
ordered here is known here all the same. A stream that nobody writes to for a day expires.
"""

import json
from collections.abc import Callable

from redis.asyncio import Redis

from balancer.purges import KEPT_S, PURGES_MAX, PurgeLog, PurgeOrder, check_order
from reprise.errors import InvalidRequest
from reprise.log import get_logger

log = get_logger()

KEY = "reprise:balancer:purges"
FIELD = "entry"
# Orders and confirmations that the stream keeps, about.
ENTRIES_MAX = 20 * PURGES_MAX
READ_AT_ONCE = 500

# (purge id, edges that confirmed it).
Confirmation = tuple[str, tuple[str, ...]]


def encode(entry: PurgeOrder | Confirmation) -> str:
    if isinstance(entry, PurgeOrder):
        return json.dumps([entry.purge_id, entry.unix_s, entry.rendition_ids, entry.edge_ids])
    return json.dumps([entry[0], entry[1]])


def decode(text: str) -> PurgeOrder | Confirmation | None:
    """What `encode` wrote; None when the text is anything else."""
    try:
        match json.loads(text):
            case [str(purge_id), int() | float() as unix_s, list(renditions), list(edge_ids)]:
                return check_order(PurgeOrder(purge_id, unix_s, _texts(renditions), _texts(edge_ids)))
            case [str(purge_id), list(edge_ids)]:
                return purge_id, _texts(edge_ids)
    except (ValueError, InvalidRequest):
        pass
    return None


def _texts(values: list[object]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


class PurgeStream:
    """Exchanges a purge log with those of the other balancers. `on_order` is told of each purge that came from one."""

    def __init__(
        self,
        client: Redis,
        purges: PurgeLog,
        unix_s: Callable[[], float],
        on_order: Callable[[PurgeOrder], None],
        soon: Callable[[], None],
    ) -> None:
        self._client = client
        self._purges = purges
        self._unix_s = unix_s
        self._on_order = on_order
        self._soon = soon
        self._orders: dict[str, PurgeOrder] = {}
        self._confirmed: dict[str, set[str]] = {}
        self._read_to = ""

    def tell_order(self, order: PurgeOrder) -> None:
        """Has the other balancers told of a purge; the oldest that waits makes room for it."""
        self._orders[order.purge_id] = order
        if len(self._orders) > PURGES_MAX:
            del self._orders[next(iter(self._orders))]
        self._soon()

    def tell_done(self, purge_id: str, edge_id: str) -> None:
        """Has the other balancers told that an edge confirmed a purge."""
        self._confirmed.setdefault(purge_id, set()).add(edge_id)
        if len(self._confirmed) > PURGES_MAX:
            del self._confirmed[next(iter(self._confirmed))]
        self._soon()

    async def exchange(self) -> None:
        """A chore of the `ValkeyLine`."""
        await self._write()
        await self._read()

    async def _write(self) -> None:
        orders = list(self._orders.values())
        confirmed = {purge_id: tuple(edges) for purge_id, edges in self._confirmed.items()}
        if not orders and not confirmed:
            return
        async with self._client.pipeline(transaction=False) as pipe:
            entries: list[PurgeOrder | Confirmation] = [*orders, *confirmed.items()]
            for entry in entries:  # a pipeline queues: nothing is to be awaited before it is executed
                _ = pipe.xadd(KEY, {FIELD: encode(entry)}, maxlen=ENTRIES_MAX, approximate=True)
            _ = pipe.expire(KEY, int(KEPT_S))
            await pipe.execute()
        # Only now, and only what was written: after a failure all of it is written again, and twice is once.
        for order in orders:
            self._orders.pop(order.purge_id, None)
        for purge_id, edges in confirmed.items():
            left = self._confirmed.get(purge_id, set())
            left.difference_update(edges)
            if not left:
                self._confirmed.pop(purge_id, None)

    async def _read(self) -> None:
        skipped = 0
        while True:
            start = f"({self._read_to}" if self._read_to else f"{int((self._unix_s() - KEPT_S) * 1000)}"
            entries = await self._client.xrange(KEY, min=start, count=READ_AT_ONCE) or []
            for entry_id, fields in entries:
                skipped += not self._take(decode(str((fields or {}).get(FIELD))))
                self._read_to = str(entry_id)
            if len(entries) < READ_AT_ONCE:
                break
        if skipped:
            log.warning("purge_entries_skipped", count=skipped, key=KEY)

    def _take(self, entry: PurgeOrder | Confirmation | None) -> bool:
        if isinstance(entry, PurgeOrder):
            if self._purges.add(entry, self._unix_s()):
                self._on_order(entry)
        elif entry is not None:
            for edge_id in entry[1]:
                self._purges.done(entry[0], edge_id)
        return entry is not None
