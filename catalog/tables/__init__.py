"""The schema as SQLAlchemy Core tables: what queries are written against. Created by `migrations`; a test proves both agree.

Keys have collation "C": their order is that of code points on every server, so a cursor stays valid across library upgrades
and replicas.
"""

from catalog.tables.columns import metadata
from catalog.tables.derived import outbox, outbox_pruned, popularity, shelf, song_card
from catalog.tables.listeners import account, device, progress, progress_pointer, session
from catalog.tables.songs import (
    artist,
    artist_alias,
    artist_credit,
    artist_credit_name,
    genre,
    image,
    medium,
    normaliser,
    recording,
    recording_genre,
    recording_isrc,
    redirect,
    release,
    release_group,
    rendition,
    source,
    track,
)

__all__ = [
    "account",
    "artist",
    "artist_alias",
    "artist_credit",
    "artist_credit_name",
    "device",
    "genre",
    "image",
    "medium",
    "metadata",
    "normaliser",
    "outbox",
    "outbox_pruned",
    "popularity",
    "progress",
    "progress_pointer",
    "recording",
    "recording_genre",
    "recording_isrc",
    "redirect",
    "release",
    "release_group",
    "rendition",
    "session",
    "shelf",
    "song_card",
    "source",
    "track",
]
