"""An index on disk: what is committed, by whom, and who may read it."""

import asyncio
from pathlib import Path

import pytest

from catalog import query
from catalog.searching import documents, tantivy_schema
from catalog.searching.backend import Ask
from catalog.searching.documents import Entry
from catalog.searching.tantivy_index import TantivyIndex
from catalog.searching.tantivy_reading import Reading
from catalog.searching.tantivy_writer import TantivyWriter
from reprise.errors import Conflict, DataCorrupt, NotReady, Unavailable
from tests.catalog.searching.library import Library, song


def test_changes_replace_and_remove(tmp_path: Path) -> None:
    library = Library(tmp_path, [song("First"), song("Second")])
    renamed = Entry(kind=song("First").kind, id=song("First").id, title="Renamed", artists=("Nobody",))
    library.change([renamed], gone=[song("Second")])
    assert library.titles("nobody") == ["Renamed"]
    assert library.titles("first") == []


def test_a_changed_song_is_there_once_within_one_commit(tmp_path: Path) -> None:
    library = Library(tmp_path, [song("Twice"), song("Twice", score=4.0)])
    assert library.titles("twice") == ["Twice"]


def test_the_checkpoint_is_that_of_the_last_commit(tmp_path: Path) -> None:
    writer = TantivyWriter(tmp_path)
    assert writer.checkpoint == ""
    writer.apply([song("One")], [])
    writer.commit("place 1")
    writer.apply([song("Two")], [])
    writer.close()
    again = TantivyWriter(tmp_path)
    assert again.checkpoint == "place 1"
    again.close()
    assert Reading.open(tmp_path).find(Ask(query.parse("two"), 0), 5, None).hits == ()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    writer = TantivyWriter(tmp_path)
    with pytest.raises(Conflict, match="another process"):
        TantivyWriter(tmp_path)
    writer.close()


def test_an_index_of_another_version_needs_a_rebuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Library(tmp_path, [song("One")])
    monkeypatch.setattr(tantivy_schema.Stamp.__init__, "__defaults__", ("", documents.VERSION + 1, 1))
    with pytest.raises(NotReady, match="rebuild"):
        Reading.open(tmp_path)
    with pytest.raises(NotReady, match="rebuild"):
        TantivyWriter(tmp_path)


def test_what_is_no_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataCorrupt, match="cannot be read"):
        Reading.open(tmp_path)
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(DataCorrupt, match="cannot be read"):
        Reading.open(tmp_path)
    with pytest.raises(DataCorrupt, match="cannot be read"):
        TantivyWriter(tmp_path)


async def test_without_an_index_it_is_unavailable(tmp_path: Path) -> None:
    index = TantivyIndex()
    with pytest.raises(Unavailable, match="no search index"):
        await index.find(Ask(query.parse("one"), 0), 5, None)
    Library(tmp_path, [song("One")])
    index.reload(tmp_path)
    assert len((await index.find(Ask(query.parse("one"), 0), 5, None)).hits) == 1
    index.close()


async def test_searches_at_once_are_bounded(tmp_path: Path) -> None:
    Library(tmp_path, [song("One")])
    index = TantivyIndex(tmp_path, threads=1, waiting_max=0)
    index.reload()
    ask = Ask(query.parse("one"), 0)
    first = index.find(ask, 5, None)
    second = index.find(ask, 5, None)
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["Found", "Busy"]
    assert len((await index.find(ask, 5, None)).hits) == 1
    index.close()
