"""What a page of search shows of what was found: cards of songs, and artists and releases, all in one statement.

A search is asked at every key that is pressed; each statement costs more than finding does.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.availability import is_visible
from catalog.cards import load_cards
from catalog.model import Artist, Credit, EntityKind, Release


@dataclass(frozen=True, slots=True)
class Shown:
    """In the order asked for; what is not to be seen is left out. Songs are cards, see `cards`."""

    songs: list[bytes]
    artists: list[Artist]
    releases: list[Release]


async def load_shown(
    connection: AsyncConnection,
    songs: Sequence[uuid.UUID],
    artists: Sequence[uuid.UUID],
    releases: Sequence[uuid.UUID],
) -> Shown:
    """What there is to show of these."""
    asked = {"songs": list(songs), "artists": list(artists), "releases": list(releases)}
    rows: dict[int, dict[uuid.UUID, Any]] = {kind: {} for kind in EntityKind}
    for row in await _fetch(connection, _ALL_TEXT if artists or releases else _SONGS_TEXT, asked):
        rows[row["kind"]][row["id"]] = row
    cards = {song_id: row["card"] for song_id, row in rows[EntityKind.SONG].items()}
    if missing := [song_id for song_id in songs if song_id not in cards]:
        cards |= await load_cards(connection, missing)
    return Shown(
        [cards[song_id] for song_id in songs if song_id in cards],
        [_artist(rows[EntityKind.ARTIST][id_]) for id_ in artists if id_ in rows[EntityKind.ARTIST]],
        [_release(rows[EntityKind.RELEASE][id_]) for id_ in releases if id_ in rows[EntityKind.RELEASE]],
    )


async def _fetch(connection: AsyncConnection, text: "_Text", values: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """By the driver itself: at every key that is pressed, what SQLAlchemy adds to a statement is a third of it.

    JSON comes decoded: SQLAlchemy has told the driver how when it connected.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    found: Sequence[Mapping[str, Any]] = await driver.fetch(text.sql, *(values[name] for name in text.order))
    return found


def _artist(row: Mapping[str, Any]) -> Artist:
    return Artist(str(row["id"]), row["name"], row["sort_name"])


def _release(row: Mapping[str, Any]) -> Release:
    credits_ = tuple(Credit(name, join_phrase, artist_id) for artist_id, name, join_phrase in row["credits"])
    return Release(str(row["id"]), row["name"], credits_, row["date"], row["cover"].hex() if row["cover"] else "")


def _rows(kind: EntityKind, id_: sa.Column[Any], **columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Rows of one shape for every kind, null where a kind has nothing."""
    shape: dict[str, Any] = {
        "card": sa.LargeBinary(),
        "name": sa.Text(),
        "sort_name": sa.Text(),
        "date": sa.Text(),
        "cover": sa.LargeBinary(),
        "credits": JSONB(),
    }
    values = [columns.get(name, sa.cast(sa.null(), type_)).label(name) for name, type_ in shape.items()]
    wanted = sa.bindparam(f"{kind.name.lower()}s", type_=ARRAY(sa.Uuid()))
    return sa.select(sa.literal_column(str(int(kind))).label("kind"), id_.label("id"), *values).where(
        id_ == sa.any_(wanted)
    )


def _credits(credit_id: sa.Column[Any]) -> sa.ColumnElement[Any]:
    named = t.artist_credit_name.c
    one = sa.func.jsonb_build_array(named.artist_id, named.name, named.join_phrase)
    ordered = sa.func.jsonb_agg(aggregate_order_by(one, named.position), type_=JSONB)
    return sa.select(ordered).where(named.credit_id == credit_id).scalar_subquery()


_SONGS = _rows(EntityKind.SONG, t.recording.c.id, card=t.song_card.c.message).where(
    t.song_card.c.recording_id == t.recording.c.id, is_visible(t.recording)
)
_ALL = sa.union_all(
    _SONGS,
    _rows(EntityKind.ARTIST, t.artist.c.id, name=t.artist.c.name, sort_name=t.artist.c.sort_name),
    _rows(
        EntityKind.RELEASE,
        t.release.c.id,
        name=t.release.c.title,
        date=t.release.c.date,
        cover=t.release.c.cover,
        credits=_credits(t.release.c.credit_id),
    ).where(is_visible(t.release)),
)


@dataclass(frozen=True, slots=True)
class _Text:
    """A statement as the driver takes it, and the order of its values."""

    sql: str
    order: tuple[str, ...]


def _text(statement: sa.Select[Any] | sa.CompoundSelect[Any]) -> _Text:
    compiled: Any = statement.compile(dialect=postgresql.asyncpg.dialect())  # type: ignore[no-untyped-call]
    return _Text(str(compiled), tuple(compiled.positiontup))


_SONGS_TEXT, _ALL_TEXT = _text(_SONGS), _text(_ALL)
