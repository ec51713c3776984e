"""A catalog's copy of the index: fetches what is new, heals, and goes on answering whatever fails."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.publish import Publisher
from catalog.searching.index_store import IndexStore
from catalog.searching.manifest import THIS_BUILD, IndexManifest
from reprise import s3
from reprise.engines.ports import free_ports
from reprise.errors import DataCorrupt
from tests.catalog.indexer.conftest import Site
from tests.catalog.songbook import publication
from tests.support.wait import wait_until


async def fetched_files(site: Site, first: IndexManifest) -> int:
    """Bytes of what the published manifest names and `first` did not, by content: a new file may be the same bytes."""
    published = await site.store.current()
    assert published
    known = {file.sha256 for file in first.files}
    return sum({file.sha256: file.size_bytes for file in published.manifest.files if file.sha256 not in known}.values())


async def test_only_files_that_are_new_are_fetched(site: Site, publisher: Publisher) -> None:
    await publisher.publish(publication("Evergreen"))
    async with site.indexer(), site.replica() as reader:
        await reader.wait_finds("evergreen")
        first, fetched = reader.replica.manifest, reader.counted("fetched_bytes")
        assert first
        assert fetched == sum({file.sha256: file.size_bytes for file in first.files}.values())
        await publisher.publish(publication("Sapling"))
        await reader.wait_finds("sapling")
        assert reader.counted("fetched_bytes") - fetched == await fetched_files(site, first) > 0
        assert set(first.files) & set(reader.replica.manifest.files if reader.replica.manifest else ())


async def test_a_damaged_local_file_is_fetched_anew_at_the_next_start(site: Site, publisher: Publisher) -> None:
    await publisher.publish(publication("Kintsugi"))
    async with site.indexer():
        async with site.replica() as reader:
            await reader.wait_finds("kintsugi")
        for path in view_of(site.folder / "replica").glob("*.term"):
            body = bytearray(path.read_bytes())
            body[len(body) // 2] ^= 0xFF
            path.write_bytes(body)
        async with site.replica() as reader:
            await wait_until(lambda: reader.counted("pulls", outcome="opened"), "a healed copy", 20)
            assert await reader.finds("kintsugi")
            assert reader.counted("damaged_files") == reader.counted("pulls", outcome="opened") == 1


async def test_a_local_file_that_was_cut_short_or_is_missing_is_no_copy(site: Site, publisher: Publisher) -> None:
    await publisher.publish(publication("Torso"))
    async with site.indexer():
        async with site.replica() as reader:
            await reader.wait_finds("torso")
        view = view_of(site.folder / "replica")
        next(view.glob("*.idx")).unlink()
        (view.parent / "incoming" / "left.part").write_bytes(b"half")
        async with site.replica() as reader:
            await reader.wait_finds("torso")
        assert [path.name for path in (view.parent / "incoming").iterdir()] == []


async def test_without_the_store_the_local_copy_answers_from_the_start_on(
    site: Site, publisher: Publisher, s3_bucket: s3.Bucket
) -> None:
    await publisher.publish(publication("Perseverance"))
    async with site.indexer(), site.replica() as reader:
        await reader.wait_finds("perseverance")
    nowhere = replace(s3_bucket, endpoint=f"http://127.0.0.1:{free_ports(1)[0]}")
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(s3.client(nowhere, attempts_max=1))
        async with replace(site, client=client).replica() as reader:
            assert await reader.finds("perseverance")
            await wait_until(lambda: reader.counted("pulls", outcome="failed"), "a failed look", 10)
            assert await reader.finds("perseverance")
            assert "cannot be used" in reader.replica.trouble


async def test_an_index_of_other_versions_is_not_opened(site: Site, publisher: Publisher) -> None:
    await publisher.publish(publication("Babel"))
    async with site.indexer(), site.replica("ours") as ours:
        await ours.wait_finds("babel")
        async with site.replica("other", replace(THIS_BUILD, normaliser=99)) as other:
            await wait_until(lambda: other.counted("pulls", outcome="other_versions"), "a look", 10)
            assert not await other.finds("babel")
            assert "this build reads normaliser 99" in other.replica.trouble


async def test_a_file_damaged_in_the_store_is_never_opened(site: Site, publisher: Publisher) -> None:
    await publisher.publish(publication("Untouched"))
    async with site.indexer(), site.replica() as reader:
        await reader.wait_finds("untouched")
    published = await site.store.current()
    assert published
    file = max(published.manifest.files, key=lambda file: file.size_bytes)
    wrong = replace(file, sha256="0" * 64)
    key = s3.search_file_key(published.manifest.generation, wrong.sha256)
    await site.client.put_object(Bucket=site.bucket, Key=key, Body=b"x" * file.size_bytes)
    files = tuple(wrong if each == file else each for each in published.manifest.files)
    await site.store.replace(replace(published.manifest, number=99, files=files), published.etag)
    async with site.replica() as reader:
        await wait_until(lambda: "damaged in the store" in reader.replica.trouble, "a failed pull", 10)
        assert await reader.finds("untouched")


async def test_a_manifest_that_is_no_manifest_is_data_corrupt(site: Site) -> None:
    await site.client.put_object(Bucket=site.bucket, Key=s3.SEARCH_MANIFEST_KEY, Body=json.dumps({"format": 7}))
    with pytest.raises(DataCorrupt, match="format 7"):
        await IndexStore(site.client, site.bucket).current()


def view_of(folder: Path) -> Path:
    (view,) = (path for path in folder.glob("view-*") if path.is_dir())
    return view


async def test_the_disk_holds_one_view_at_rest(site: Site, publisher: Publisher) -> None:
    async with site.indexer(), site.replica() as reader:
        for title in ("Alpha Wolf", "Beta Blocker", "Gamma Ray"):
            await publisher.publish(publication(title))
            await reader.wait_finds(title)
        async with asyncio.timeout(10):
            while len([path for path in (site.folder / "replica").glob("view-*") if path.is_dir()]) > 1:
                await asyncio.sleep(0.02)
