"""What was played last comes first, page by page, with nothing shown that is not to be seen."""

import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from catalog.database import Database
from catalog.publish import Publisher
from catalog.resuming.heartbeats import Heartbeats
from catalog.resuming.journal import Spooled
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.points import Resume
from catalog.resuming.resume import Kind, Point, Save
from catalog.resuming.spool import Spool
from reprise.errors import InvalidRequest
from reprise.types.v1 import types_pb2 as types
from tests.catalog import songbook
from tests.catalog.conftest import CURSOR_KEY


@pytest.fixture
async def song_ids(publisher: Publisher) -> list[str]:
    """Five songs."""
    titles = [f"Song {number}" for number in range(5)]
    publications = [songbook.publication(title, source_sha256=songbook.digest(title)) for title in titles]
    return [str((await publisher.publish(publication)).song_id) for publication in publications]


def save(song_id: str, sequence: int = 1, *, finished: bool = False, kind: Kind = Kind.ACTION) -> Save:
    return Save(Point(song_id, "phone", sequence * 1000, finished, 1, sequence), kind)


async def listed(resume: Resume, user: str, size: int = 2, *, include_finished: bool = False) -> list[str]:
    """The titles of all pages."""
    titles, cursor = [], ""
    while True:
        page = await resume.recent(user, size, cursor, "", include_finished=include_finished)
        assert len(page.entries) <= size
        titles += [types.Song.FromString(entry.card).title for entry in page.entries]
        cursor = page.next_cursor
        if not cursor:
            return titles


async def test_pages_give_each_song_once_the_last_played_first(resume: Resume, user: str, song_ids: list[str]) -> None:
    for song_id in song_ids:
        await resume.save(user, save(song_id))
    await resume.save(user, save(song_ids[1], 2))
    expected = ["Song 1", "Song 4", "Song 3", "Song 2", "Song 0"]
    for size in (1, 2, 4, 5, 9):
        assert await listed(resume, user, size) == expected
    assert await listed(resume, "somebody-else-0123") == []


async def test_finished_songs_are_listed_only_when_asked_for(resume: Resume, user: str, song_ids: list[str]) -> None:
    for song_id in song_ids[:3]:
        await resume.save(user, save(song_id))
    await resume.save(user, save(song_ids[1], 2, finished=True))
    assert await listed(resume, user) == ["Song 2", "Song 0"]
    assert await listed(resume, user, include_finished=True) == ["Song 1", "Song 2", "Song 0"]


async def test_a_finished_song_that_plays_again_is_listed(
    database: Database, resume_metrics: ResumeMetrics, user: str, song_ids: list[str]
) -> None:
    heartbeats = Heartbeats(database, None, resume_metrics)
    resume = Resume(database, heartbeats, None, lambda *_: None, CURSOR_KEY, resume_metrics, time.time)
    await resume.save(user, save(song_ids[0], finished=True))
    await resume.save(user, save(song_ids[0], 2, kind=Kind.HEARTBEAT))
    await heartbeats.flush()
    assert await listed(resume, user) == ["Song 0"]


async def test_a_cursor_is_for_its_own_list(resume: Resume, user: str, song_ids: list[str]) -> None:
    for song_id in song_ids[:2]:
        await resume.save(user, save(song_id))
    cursor = (await resume.recent(user, 1, "", "", include_finished=False)).next_cursor
    for other, finished in (("somebody-else-0123", False), (user, True)):
        with pytest.raises(InvalidRequest, match="cursor"):
            await resume.recent(other, 1, cursor, "", include_finished=finished)


async def test_what_is_spooled_comes_first_and_only_once(
    database: Database, resume_metrics: ResumeMetrics, user: str, song_ids: list[str], tmp_path: Path
) -> None:
    spool = Spool(tmp_path, 1 << 20, ResumeMetrics(CollectorRegistry()), time.time)
    heartbeats = Heartbeats(database, None, resume_metrics)
    resume = Resume(database, heartbeats, spool, lambda *_: None, CURSOR_KEY, resume_metrics, time.time)
    for song_id in song_ids[:3]:
        await resume.save(user, save(song_id))
    await spool.append(Spooled(user, save(song_ids[0], 2)))
    await spool.append(Spooled(user, save(song_ids[4], 1)))
    await spool.append(Spooled(user, save(song_ids[2], 2, finished=True)))
    for size in (1, 2, 3, 9):
        assert await listed(resume, user, size) == ["Song 4", "Song 0", "Song 1"]
    (first, *_) = (await resume.recent(user, 3, "", "", include_finished=False)).entries[1:]
    assert first.point.sequence == 2
    await spool.close()


async def test_plays_are_told_of_accepted_saves_only(
    database: Database, resume_metrics: ResumeMetrics, user: str, song_ids: list[str]
) -> None:
    heard: list[tuple[str, str, int, int]] = []

    def note(*play: object) -> None:
        heard.append(play)  # type: ignore[arg-type]

    heartbeats = Heartbeats(database, None, resume_metrics)
    resume = Resume(database, heartbeats, None, note, CURSOR_KEY, resume_metrics, time.time)
    for one in (save(song_ids[0]), save(song_ids[0]), save(song_ids[0], 2, kind=Kind.HEARTBEAT)):
        await resume.save(user, one)
    assert heard == [(user, song_ids[0], 1, 1000), (user, song_ids[0], 1, 2000)]
