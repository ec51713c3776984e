"""What a list shows of its entries, in the statement that finds them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.cards import load_cards
from catalog.listing import Kind
from catalog.model import Artist, Credit, Genre, Loudness, Release

# Songs are cards, see `cards`.
Entry = Artist | Release | Genre | bytes


def with_entries(kind: Kind, page: sa.Subquery) -> sa.Select[Any]:
    """The rows of `page`, which have an `entity_id`, with what is shown of each."""
    source, columns = _SHOWN[kind]
    return sa.select(page, *columns).select_from(source(page))


async def read_entries(connection: AsyncConnection, kind: Kind, rows: Sequence[Any]) -> list[Entry]:
    """The entries of rows of `with_entries`."""
    if kind is not Kind.SONGS:
        return [_READ[kind](row) for row in rows]
    missing = [row.entity_id for row in rows if row.message is None]
    made = await load_cards(connection, missing)
    cards: list[Entry | None] = [row.message or made.get(row.entity_id) for row in rows]
    # None: taken down between two statements.
    return [card for card in cards if card is not None]


def _songs(page: sa.Subquery) -> sa.FromClause:
    return page.outerjoin(t.song_card, t.song_card.c.recording_id == page.c.entity_id)


def _artists(page: sa.Subquery) -> sa.FromClause:
    return page.join(t.artist, t.artist.c.id == page.c.entity_id)


def _genres(page: sa.Subquery) -> sa.FromClause:
    return page.join(t.genre, t.genre.c.id == page.c.entity_id)


def _releases(page: sa.Subquery) -> sa.FromClause:
    joined = page.join(t.release, t.release.c.id == page.c.entity_id).join(t.release_group)
    return joined.outerjoin(t.image, t.image.c.sha256 == t.release.c.cover)


def _artist(row: Any) -> Artist:
    return Artist(str(row.entity_id), row.name, row.sort_name)


def _genre(row: Any) -> Genre:
    return Genre(str(row.entity_id), row.name)


def _release(row: Any) -> Release:
    measured = row.integrated_lufs is not None
    return Release(
        release_id=str(row.entity_id),
        title=row.title,
        artists=tuple(Credit(name, join_phrase, artist_id) for artist_id, name, join_phrase in row.credits),
        date=row.date,
        cover=row.cover.hex() if row.cover else "",
        cover_sizes_px=tuple(row.sizes_px or ()),
        kind=row.kind,
        group_id=str(row.group_id),
        loudness=Loudness(row.integrated_lufs, row.true_peak_dbtp or 0.0, row.loudness_range_lu or 0.0)
        if measured
        else None,
    )


def _credits() -> sa.ColumnElement[Any]:
    named = t.artist_credit_name.c
    one = sa.func.jsonb_build_array(named.artist_id, named.name, named.join_phrase)
    all_ = sa.func.jsonb_agg(aggregate_order_by(one, named.position), type_=JSONB)
    return sa.select(all_).where(named.credit_id == t.release.c.credit_id).scalar_subquery().label("credits")


_OF_RELEASE = ("title", "date", "cover", "group_id", "integrated_lufs", "true_peak_dbtp", "loudness_range_lu")
_SHOWN: dict[Kind, tuple[Any, tuple[Any, ...]]] = {
    Kind.SONGS: (_songs, (t.song_card.c.message,)),
    Kind.ARTISTS: (_artists, (t.artist.c.name, t.artist.c.sort_name)),
    Kind.GENRES: (_genres, (t.genre.c.name,)),
    Kind.RELEASES: (
        _releases,
        (*(t.release.c[name] for name in _OF_RELEASE), t.release_group.c.kind, t.image.c.sizes_px, _credits()),
    ),
}
_READ: dict[Kind, Any] = {Kind.ARTISTS: _artist, Kind.GENRES: _genre, Kind.RELEASES: _release}
