"""The schema as SQLAlchemy Core tables: what queries are written against. Created by `migrations`; a test proves both agree.

Names of artists, titles and genres are stored as shown, beside their `normalise.key`. Keys have collation "C": their order is
that of code points on every server, so a cursor stays valid across library upgrades and replicas.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_KEY = sa.Text(collation="C")


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.Uuid(), primary_key=True)


def _ref(
    name: str, target: str, *, primary_key: bool = False, nullable: bool = False, index: bool = False
) -> sa.Column[object]:
    return sa.Column(name, sa.ForeignKey(target), primary_key=primary_key, nullable=nullable, index=index)


# The version of the normaliser that made the keys: one row.
normaliser = sa.Table("normaliser", metadata, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))

artist = sa.Table(
    "artist",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("sort_name", sa.Text, nullable=False),
    sa.Column("name_key", _KEY, nullable=False, unique=True),
    sa.Column("sort_key", _KEY, nullable=False),
    sa.Index(None, "sort_key", "id"),
)
# A list of artists with join phrases ("A feat. B"), shared by all songs and releases that name them so.
artist_credit = sa.Table(
    "artist_credit", metadata, _id(), sa.Column("digest", sa.LargeBinary, nullable=False, unique=True)
)
artist_credit_name = sa.Table(
    "artist_credit_name",
    metadata,
    _ref("credit_id", "artist_credit.id", primary_key=True),
    sa.Column("position", sa.SmallInteger, primary_key=True),
    _ref("artist_id", "artist.id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("join_phrase", sa.Text, nullable=False),
    sa.Index(None, "artist_id", "credit_id"),
)
genre = sa.Table(
    "genre",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", _KEY, nullable=False, unique=True),
)
image = sa.Table(
    "image",
    metadata,
    sa.Column("sha256", sa.LargeBinary, primary_key=True),
    sa.Column("mime_type", sa.Text, nullable=False),
)
# One row per title and first artist: songs of one album that feature different guests stay on one release.
release = sa.Table(
    "release",
    metadata,
    _id(),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("title_key", _KEY, nullable=False),
    _ref("first_artist_id", "artist.id"),
    _ref("credit_id", "artist_credit.id", index=True),
    sa.Column("date", sa.Text, nullable=False),
    _ref("cover", "image.sha256", nullable=True),
    # From when listeners find and play it; null for what was never held back.
    sa.Column("available_from", sa.DateTime(timezone=True)),
    sa.UniqueConstraint("title_key", "first_artist_id"),
    sa.Index(None, "title_key", "id"),
    sa.Index(None, "available_from", "id", postgresql_where=sa.text("available_from IS NOT NULL")),
)
# A song.
recording = sa.Table(
    "recording",
    metadata,
    _id(),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("title_key", _KEY, nullable=False),
    _ref("credit_id", "artist_credit.id", index=True),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("date", sa.Text, nullable=False),
    sa.Column("explicit", sa.Boolean, nullable=False),
    _ref("cover", "image.sha256", nullable=True),
    # Its release's, repeated here and in `song_search` so that lists and searches need no join.
    sa.Column("available_from", sa.DateTime(timezone=True)),
    sa.Index(None, "title_key", "id"),
)
track = sa.Table(
    "track",
    metadata,
    _ref("release_id", "release.id", primary_key=True),
    _ref("recording_id", "recording.id", primary_key=True, index=True),
    sa.Column("disc_number", sa.Integer, nullable=False),
    sa.Column("track_number", sa.Integer, nullable=False),
    sa.Index(None, "release_id", "disc_number", "track_number", "recording_id"),
)
# Not unique by ISRC: several recordings carry the same, and one carries several.
recording_isrc = sa.Table(
    "recording_isrc",
    metadata,
    _ref("recording_id", "recording.id", primary_key=True),
    sa.Column("isrc", sa.Text, primary_key=True),
)
# Repeats the song's title key, so that one index serves a genre's songs in order.
recording_genre = sa.Table(
    "recording_genre",
    metadata,
    _ref("genre_id", "genre.id", primary_key=True),
    _ref("recording_id", "recording.id", primary_key=True, index=True),
    sa.Column("position", sa.SmallInteger, nullable=False),
    sa.Column("title_key", _KEY, nullable=False),
    sa.Index(None, "genre_id", "title_key", "recording_id"),
)
rendition = sa.Table(
    "rendition",
    metadata,
    _ref("recording_id", "recording.id", primary_key=True),
    sa.Column("rendition_id", sa.LargeBinary, primary_key=True),
    sa.Column("position", sa.SmallInteger, nullable=False),
    sa.Column("codec", sa.SmallInteger, nullable=False),
    sa.Column("bitrate_bps", sa.BigInteger, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("sample_rate_hz", sa.Integer, nullable=False),
    sa.Column("channels", sa.Integer, nullable=False),
    sa.Column("mime_type", sa.Text, nullable=False),
)
# Which file became which song. A publication claims its source first, hence the deferred reference.
source = sa.Table(
    "source",
    metadata,
    sa.Column("sha256", sa.LargeBinary, primary_key=True),
    sa.Column(
        "recording_id", sa.ForeignKey("recording.id", deferrable=True, initially="DEFERRED"), nullable=False, index=True
    ),
)

# Derived from the above; could be dropped and made again.
song_search = sa.Table(
    "song_search",
    metadata,
    _ref("recording_id", "recording.id", primary_key=True),
    sa.Column("title_key", _KEY, nullable=False),
    sa.Column("artist_key", _KEY, nullable=False),
    sa.Column("exact_titles", ARRAY(sa.Text), nullable=False),
    sa.Column("exact_names", ARRAY(sa.Text), nullable=False),
    sa.Column("words", TSVECTOR, nullable=False),
    sa.Column("available_from", sa.DateTime(timezone=True)),
    sa.Index(None, "title_key", "recording_id"),
    sa.Index(None, "artist_key", "recording_id"),
    sa.Index(None, "exact_titles", postgresql_using="gin"),
    sa.Index(None, "exact_names", postgresql_using="gin"),
    sa.Index(None, "words", postgresql_using="gin"),
)
# Every word of the catalog, with its `spelling.deletions`.
vocabulary = sa.Table(
    "vocabulary",
    metadata,
    sa.Column("word", _KEY, primary_key=True),
    sa.Column("deletions", ARRAY(sa.Text), nullable=False),
    sa.Index(None, "deletions", postgresql_using="gin"),
    sa.Index("ix_vocabulary_trigrams", "word", postgresql_using="gin", postgresql_ops={"word": "gin_trgm_ops"}),
)

# The last save of each device.
progress = sa.Table(
    "progress",
    metadata,
    sa.Column("user_id", _KEY, primary_key=True),
    _ref("recording_id", "recording.id", primary_key=True),
    sa.Column("device_id", _KEY, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("position_ms", sa.BigInteger, nullable=False),
    sa.Column("finished", sa.Boolean, nullable=False),
    # The pointer's count at this save: orders devices without a clock.
    sa.Column("save_number", sa.BigInteger, nullable=False),
    sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
)
# Points at the device that saved last, and counts the saves of all devices. Its row lock puts saves in order.
progress_pointer = sa.Table(
    "progress_pointer",
    metadata,
    sa.Column("user_id", _KEY, primary_key=True),
    _ref("recording_id", "recording.id", primary_key=True),
    sa.Column("device_id", _KEY, nullable=False),
    sa.Column("saves", sa.BigInteger, nullable=False),
)
