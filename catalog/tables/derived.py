"""What is derived from songs and could be made again: cards, shelves, popularity; and the outbox of changes."""

import sqlalchemy as sa
from sqlalchemy.types import UserDefinedType

from catalog.tables.columns import KEY, metadata, moment, ref


class Xid8(UserDefinedType[int]):
    """The number of a transaction, which never wraps (PostgreSQL's xid8); an integer in Python."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


# The serialised `reprise.types.v1.Song`: lists and searches send it as it is. Written in the transaction that changes any part.
song_card = sa.Table(
    "song_card",
    metadata,
    ref("recording_id", "recording.id", primary_key=True),
    sa.Column("message", sa.LargeBinary, nullable=False),
)
# How much a song, artist or release was played lately: see `popularity`. Apart from what it is of, because it changes often.
popularity = sa.Table(
    "popularity",
    metadata,
    # The number of `reprise.catalog.v1.EntityKind`.
    sa.Column("kind", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("entity_id", sa.Uuid(), primary_key=True),
    sa.Column("score", sa.Double, nullable=False),
    # The score when the outbox was told last.
    sa.Column("told", sa.Double, nullable=False, server_default=sa.text("'-infinity'")),
)
# The lists that can be browsed, each in its three orders: see `shelves`.
shelf = sa.Table(
    "shelf",
    metadata,
    # The number of `reprise.catalog.v1.BrowseKind`: what stands on it.
    sa.Column("kind", sa.SmallInteger, primary_key=True, autoincrement=False),
    # The artist or genre whose shelf it is; all zeros for the one of everything.
    sa.Column("shelf_id", sa.Uuid(), primary_key=True),
    sa.Column("entity_id", sa.Uuid(), primary_key=True),
    sa.Column("sort_key", KEY, nullable=False),
    # Its popularity when the outbox was told last.
    sa.Column("score", sa.Double, nullable=False, server_default=sa.text("'-infinity'")),
    moment("visible_from", server_default=sa.text("'-infinity'")),
    sa.Index(None, "kind", "shelf_id", "sort_key", "entity_id"),
    sa.Index(None, "kind", "shelf_id", "score", "entity_id"),
    # Hashed, for it is in no order: the planner must not take it for the newest of a list.
    sa.Index(None, "entity_id", postgresql_using="hash"),
)
# Every change of songs, artists and releases. Read in the order (xid, sequence), and only below the oldest transaction that
# still runs: what commits later cannot appear before what was read.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("xid", Xid8(), nullable=False, server_default=sa.text("pg_current_xact_id()")),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("entity_id", sa.Uuid(), nullable=False),
    sa.Column("gone", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("redirected_to", sa.Uuid()),
    moment("at", server_default=sa.text("now()")),
    sa.Index(None, "xid", "sequence"),
)
# One row: the last change that was dropped.
outbox_pruned = sa.Table(
    "outbox_pruned",
    metadata,
    sa.Column("xid", Xid8(), primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)
