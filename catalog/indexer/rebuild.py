"""Makes an index anew from the database, beside the one in use.

The checkpoint is taken before anything is read, so whatever changes meanwhile is in the outbox behind it, which then brings the
new index up to date as it does with any other.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.indexer import facts, feed
from catalog.indexer.generation import Generation
from catalog.model import EntityKind

PAGE = 2000


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done, and how far it is; `total` is an estimate."""

    step: str
    done: int
    total: int


async def fill(connection: AsyncConnection, generation: Generation) -> AsyncIterator[Progress]:
    """Reads everything into the new `generation`, telling the progress, and commits it."""
    checkpoint = await feed.now(connection)
    total, done = await facts.about(connection), 0
    yield Progress("read", done, total)
    for kind in EntityKind:
        after = None
        while ids := await facts.page(connection, kind, after, PAGE):
            entries = await facts.entries(connection, kind, ids)
            await generation.apply(entries, ())
            after, done = ids[-1], done + len(ids)
            yield Progress("read", done, max(total, done))
    await generation.commit(checkpoint.text)


async def catch_up(connection: AsyncConnection, database: str, generation: Generation) -> AsyncIterator[Progress]:
    """Takes in what has changed meanwhile, until little is left."""
    done = 0
    while (advanced := await feed.advance(connection, database, generation)).changes:
        done += advanced.changes
        yield Progress("catch_up", done, done)
        if advanced.changes < feed.CHANGES_MAX:
            break
