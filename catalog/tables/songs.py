"""Songs and what they belong to: a subset of MusicBrainz' schema (musicbrainz.org/doc/MusicBrainz_Database/Schema).

Names of artists, titles and genres are stored as shown, beside their `normalise.key`. Identity: a MusicBrainz id where the tags
had one; else the key of the name.
"""

import sqlalchemy as sa

from catalog.tables.columns import KEY, id_column, metadata, moment, ref


def _unique_mbid(table: str) -> sa.Index:
    """Partial, so that no foreign key could use it: giving a row its id does not wait for rows that refer to it."""
    return sa.Index(f"uq_{table}_mbid", "mbid", unique=True, postgresql_where=sa.text("mbid IS NOT NULL"))


# The version of the normaliser that made the keys: one row.
normaliser = sa.Table("normaliser", metadata, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))

artist = sa.Table(
    "artist",
    metadata,
    id_column(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("sort_name", sa.Text, nullable=False),
    sa.Column("name_key", KEY, nullable=False),
    sa.Column("sort_key", KEY, nullable=False),
    sa.Column("mbid", sa.Uuid()),
    _unique_mbid("artist"),
    sa.Index(None, "sort_key", "id"),
    sa.Index("ix_artist_name_key", "name_key"),
    sa.Index("uq_artist_name_key", "name_key", unique=True, postgresql_where=sa.text("mbid IS NULL")),
)
# Other names by which an artist is found.
artist_alias = sa.Table(
    "artist_alias",
    metadata,
    ref("artist_id", "artist.id", primary_key=True),
    sa.Column("alias_key", KEY, primary_key=True),
    sa.Column("alias", sa.Text, nullable=False),
    sa.Index(None, "alias_key"),
)
# A list of artists with join phrases ("A feat. B"), shared by all songs and releases that name them so.
artist_credit = sa.Table(
    "artist_credit", metadata, id_column(), sa.Column("digest", sa.LargeBinary, nullable=False, unique=True)
)
artist_credit_name = sa.Table(
    "artist_credit_name",
    metadata,
    ref("credit_id", "artist_credit.id", primary_key=True),
    sa.Column("position", sa.SmallInteger, primary_key=True),
    ref("artist_id", "artist.id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("join_phrase", sa.Text, nullable=False),
    sa.Index(None, "artist_id", "credit_id"),
)
genre = sa.Table(
    "genre",
    metadata,
    id_column(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", KEY, nullable=False, unique=True),
)
image = sa.Table(
    "image",
    metadata,
    sa.Column("sha256", sa.LargeBinary, primary_key=True),
    sa.Column("mime_type", sa.Text, nullable=False),
    # Edge lengths in pixels at which it is in the store too, ascending.
    sa.Column("sizes_px", sa.ARRAY(sa.Integer), nullable=False, server_default="{}"),
)
# All editions of an album. One row per title and first artist, unless MusicBrainz ids say otherwise: songs of one album that
# feature different guests stay together.
release_group = sa.Table(
    "release_group",
    metadata,
    id_column(),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("title_key", KEY, nullable=False),
    ref("first_artist_id", "artist.id", index=True),
    # The number of `reprise.types.v1.ReleaseKind`.
    sa.Column("kind", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("mbid", sa.Uuid()),
    _unique_mbid("release_group"),
    sa.Index(None, "title_key", "first_artist_id"),
    sa.Index(
        "uq_release_group_title_key_first_artist_id",
        "title_key",
        "first_artist_id",
        unique=True,
        postgresql_where=sa.text("mbid IS NULL"),
    ),
)
# One edition.
release = sa.Table(
    "release",
    metadata,
    id_column(),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("title_key", KEY, nullable=False),
    ref("first_artist_id", "artist.id"),
    ref("credit_id", "artist_credit.id", index=True),
    sa.Column("date", sa.Text, nullable=False),
    ref("cover", "image.sha256", nullable=True),
    # From when listeners find and play it; null for what was never held back.
    moment("available_from", nullable=True),
    ref("group_id", "release_group.id", index=True),
    sa.Column("mbid", sa.Uuid()),
    _unique_mbid("release"),
    sa.Column("label", sa.Text, nullable=False, server_default=""),
    sa.Column("barcode", sa.Text, nullable=False, server_default=""),
    # EBU R128; null when it was not measured.
    sa.Column("integrated_lufs", sa.REAL),
    sa.Column("true_peak_dbtp", sa.REAL),
    sa.Column("loudness_range_lu", sa.REAL),
    # Taken down; null for what is to be seen.
    moment("withdrawn_at", nullable=True),
    sa.Column("withdrawn_reason", sa.Text, nullable=False, server_default=""),
    sa.Index("uq_release_group_id", "group_id", "title_key", unique=True, postgresql_where=sa.text("mbid IS NULL")),
    sa.Index(None, "title_key", "first_artist_id"),
    sa.Index(None, "title_key", "id"),
    sa.Index(None, "available_from", "id", postgresql_where=sa.text("available_from IS NOT NULL")),
)
# A song.
recording = sa.Table(
    "recording",
    metadata,
    id_column(),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("title_key", KEY, nullable=False),
    ref("credit_id", "artist_credit.id", index=True),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("date", sa.Text, nullable=False),
    sa.Column("explicit", sa.Boolean, nullable=False),
    ref("cover", "image.sha256", nullable=True),
    # Its release's, repeated here so that lists and searches need no join.
    moment("available_from", nullable=True),
    sa.Column("mbid", sa.Uuid(), index=True),
    # EBU R128; null when it was not measured.
    sa.Column("integrated_lufs", sa.REAL),
    sa.Column("true_peak_dbtp", sa.REAL),
    sa.Column("loudness_range_lu", sa.REAL),
    # Taken down; null for what is to be seen.
    moment("withdrawn_at", nullable=True),
    sa.Column("withdrawn_reason", sa.Text, nullable=False, server_default=""),
    # The release whose taking down took it with it, so that restoring one restores the other.
    ref("withdrawn_with", "release.id", nullable=True),
    sa.Index(None, "title_key", "id"),
)
# A disc or side of a release.
medium = sa.Table(
    "medium",
    metadata,
    ref("release_id", "release.id", primary_key=True),
    sa.Column("disc_number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("title", sa.Text, nullable=False, server_default=""),
    sa.Column("format", sa.Text, nullable=False, server_default=""),
)
track = sa.Table(
    "track",
    metadata,
    ref("release_id", "release.id", primary_key=True),
    ref("recording_id", "recording.id", primary_key=True, index=True),
    sa.Column("disc_number", sa.Integer, nullable=False),
    sa.Column("track_number", sa.Integer, nullable=False),
    sa.ForeignKeyConstraint(["release_id", "disc_number"], ["medium.release_id", "medium.disc_number"]),
    sa.Index(None, "release_id", "disc_number", "track_number", "recording_id"),
)
# Not unique by ISRC: several recordings carry the same, and one carries several.
recording_isrc = sa.Table(
    "recording_isrc",
    metadata,
    ref("recording_id", "recording.id", primary_key=True),
    sa.Column("isrc", sa.Text, primary_key=True),
)
# Repeats the song's title key, so that one index serves a genre's songs in order.
recording_genre = sa.Table(
    "recording_genre",
    metadata,
    ref("genre_id", "genre.id", primary_key=True),
    ref("recording_id", "recording.id", primary_key=True, index=True),
    sa.Column("position", sa.SmallInteger, nullable=False),
    sa.Column("title_key", KEY, nullable=False),
    sa.Index(None, "genre_id", "title_key", "recording_id"),
)
rendition = sa.Table(
    "rendition",
    metadata,
    ref("recording_id", "recording.id", primary_key=True),
    sa.Column("rendition_id", sa.LargeBinary, primary_key=True),
    sa.Column("position", sa.SmallInteger, nullable=False),
    sa.Column("codec", sa.SmallInteger, nullable=False),
    sa.Column("bitrate_bps", sa.BigInteger, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("sample_rate_hz", sa.Integer, nullable=False),
    sa.Column("channels", sa.Integer, nullable=False),
    sa.Column("mime_type", sa.Text, nullable=False),
    # Samples per channel: before the song, after it, and its own; 0 own samples when it was not measured.
    sa.Column("delay_samples", sa.Integer, nullable=False, server_default="0"),
    sa.Column("padding_samples", sa.Integer, nullable=False, server_default="0"),
    sa.Column("samples", sa.BigInteger, nullable=False, server_default="0"),
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

# Ids that were merged away go on to mean what they were merged into. Never a chain: a merge moves earlier ones along.
redirect = sa.Table(
    "redirect",
    metadata,
    # The number of `reprise.catalog.v1.EntityKind`.
    sa.Column("kind", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("old_id", sa.Uuid(), primary_key=True),
    sa.Column("new_id", sa.Uuid(), nullable=False),
    sa.Index(None, "kind", "new_id"),
)
