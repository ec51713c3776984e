"""The index follows the database, whoever writes it, and starts anew where it cannot follow."""

import time
import uuid

import pytest
import sqlalchemy as sa

from catalog import outbox
from catalog import tables as t
from catalog.database import Database
from catalog.indexer import facts, rebuild
from catalog.indexer.source import Source, identity
from catalog.model import EntityKind
from catalog.publish import Publisher
from reprise.errors import Conflict, NotReady
from tests.catalog.indexer.conftest import Site, wait_writing
from tests.catalog.songbook import publication
from tests.support.wait import wait_until


async def publish(publisher: Publisher, title: str) -> uuid.UUID:
    return (await publisher.publish(publication(title))).song_id


async def test_a_published_song_is_soon_found(site: Site, publisher: Publisher) -> None:
    await publish(publisher, "Overture")
    async with site.indexer(), site.replica() as reader:
        await reader.wait_finds("overture")
        for title in ("Hailstorm", "Marmalade", "Quicksand"):
            began = time.monotonic()
            await publish(publisher, title)
            await reader.wait_finds(title)
            assert time.monotonic() - began < 5


async def test_what_is_withdrawn_is_no_longer_found_and_comes_back(
    site: Site, publisher: Publisher, database: Database
) -> None:
    song_id = await publish(publisher, "Contraband")

    async def withdraw(connection, at) -> None:  # type: ignore[no-untyped-def]
        await connection.execute(sa.update(t.recording).where(t.recording.c.id == song_id).values(withdrawn_at=at))
        await outbox.tell(connection, EntityKind.SONG, [song_id])

    async with site.indexer(), site.replica() as reader:
        await reader.wait_finds("contraband")
        await database.write(lambda connection: withdraw(connection, sa.func.now()))
        await reader.wait_finds("contraband", found=False)
        await database.write(lambda connection: withdraw(connection, None))
        await reader.wait_finds("contraband")


async def test_who_comes_second_waits_and_takes_over_without_a_rebuild(site: Site, publisher: Publisher) -> None:
    await publish(publisher, "Heirloom")
    async with site.replica() as reader:
        async with site.indexer("first") as first:
            await wait_writing(first)
            async with site.indexer("second") as second:
                await wait_until(lambda: second.missing == "", "a standby", 10)
                assert not (await second.status()).writing
                with pytest.raises(NotReady, match="standby"):
                    await anext(second.rebuild())
            await reader.wait_finds("heirloom")
        await publish(publisher, "Interregnum")
        before = await site.store.current()
        async with site.indexer("second") as second:
            await reader.wait_finds("interregnum")
            after = await site.store.current()
    assert before
    assert after
    assert after.manifest.generation == before.manifest.generation
    assert after.manifest.epoch == before.manifest.epoch + 1


async def test_who_was_superseded_can_publish_nothing_more(site: Site) -> None:
    async with site.parts("old") as (_, old), site.parts("new") as (_, new):
        first = await old.begin()
        await first.commit("1-1/1/1")
        await old.publish(first)
        second = await new.take_over()
        assert second is not None
        await first.commit("1-1/2/2")
        with pytest.raises(Conflict):
            await old.publish(first)
        await second.commit("1-1/3/3")
        await new.publish(second)
        published = await site.store.current()
        assert published
        assert published.manifest.checkpoint == "1-1/3/3"
        for generation in (first, second):
            await generation.close()


async def test_songs_published_while_the_index_is_rebuilt_are_in_the_new_one(site: Site, publisher: Publisher) -> None:
    await publish(publisher, "Foundation")
    async with site.indexer() as indexer, site.replica() as reader:
        await reader.wait_finds("foundation")
        before = (await indexer.status()).generation
        steps = []
        async for progress in indexer.rebuild():
            if not steps:
                await publish(publisher, "Scaffolding")
                with pytest.raises(NotReady, match="under way"):
                    await anext(indexer.rebuild())
            steps.append(progress.step)
        assert steps[-1] == "done"
        assert (await indexer.status()).generation != before
        await reader.wait_finds("scaffolding")
        assert await reader.finds("foundation")


async def test_what_changes_behind_the_page_that_was_read_comes_by_the_outbox(site: Site, publisher: Publisher) -> None:
    await publish(publisher, "Rearguard")
    async with site.parts("one") as (_, target), Source(site.dsn, 5, 30).connection() as connection:
        generation = await target.begin()
        songs = len(await facts.page(connection, EntityKind.SONG, None, 1000))
        late = False
        async for progress in rebuild.fill(connection, generation):
            if progress.done > songs and not late:
                await publish(publisher, "Latecomer")
                late = True
        assert late, "it came when artists were read already"
        database = await identity(connection)
        async for _progress in rebuild.catch_up(connection, database, generation):
            pass
        await target.publish(generation)
        await generation.close()
    async with site.replica() as reader:
        await reader.wait_finds("latecomer")
        assert await reader.finds("rearguard")


async def test_an_indexer_that_was_away_too_long_starts_anew_by_itself(
    site: Site, publisher: Publisher, database: Database
) -> None:
    async with site.replica() as reader:
        async with site.indexer() as indexer:
            await wait_writing(indexer)
        await publish(publisher, "Sabbatical")
        while await database.write(lambda connection: outbox.prune(connection, 0, 0, 1000)):
            pass
        async with site.indexer() as indexer:
            await reader.wait_finds("sabbatical")
            assert indexer._metrics.rebuilds.labels("done")._value.get() == 1


async def test_a_lost_connection_ends_the_term_and_the_next_one_goes_on(
    site: Site, publisher: Publisher, database: Database
) -> None:
    async with site.indexer() as indexer, site.replica() as reader:
        await wait_writing(indexer)
        holder = sa.text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database ="
                         " (SELECT oid FROM pg_database WHERE datname = current_database())")  # fmt: skip
        await database.read(lambda connection: connection.execute(holder))
        await wait_until(lambda: not indexer._election.writing, "the end of the term", 5)
        await publish(publisher, "Resumption")
        await reader.wait_finds("resumption")
        assert indexer._metrics.terms.labels("failed")._value.get() == 1


async def test_files_that_nothing_names_are_deleted_after_the_grace(site: Site, publisher: Publisher) -> None:
    async with site.parts("one", grace_s=0) as (_, target):
        for checkpoint in ("1-1/1/1", "1-1/2/2"):
            generation = await target.begin()
            await generation.commit(checkpoint)
            await target.publish(generation)
            await generation.close()
        published = await site.store.current()
        assert published
        before = set(await site.store.stored())
        await target.tidy()
        after = set(await site.store.stored())
        assert len(after) == len({file.sha256 for file in published.manifest.files}) < len(before)
