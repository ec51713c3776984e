"""Songs with their artists, releases, genres, renditions and sources; search; resume points.

Written as SQL and frozen: `catalog.tables` moves on, a migration does not. Why a table is as it is stands there.
"""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    "CREATE TABLE normaliser (version integer CONSTRAINT pk_normaliser PRIMARY KEY)",
    "INSERT INTO normaliser (version) VALUES (1)",
    """
    CREATE TABLE artist (
        id uuid CONSTRAINT pk_artist PRIMARY KEY,
        name text NOT NULL,
        sort_name text NOT NULL,
        name_key text COLLATE "C" NOT NULL CONSTRAINT uq_artist_name_key UNIQUE,
        sort_key text COLLATE "C" NOT NULL
    )
    """,
    "CREATE INDEX ix_artist_sort_key_id ON artist (sort_key, id)",
    """
    CREATE TABLE artist_credit (
        id uuid CONSTRAINT pk_artist_credit PRIMARY KEY,
        digest bytea NOT NULL CONSTRAINT uq_artist_credit_digest UNIQUE
    )
    """,
    """
    CREATE TABLE artist_credit_name (
        credit_id uuid CONSTRAINT fk_artist_credit_name_credit_id REFERENCES artist_credit (id),
        position smallint,
        artist_id uuid NOT NULL CONSTRAINT fk_artist_credit_name_artist_id REFERENCES artist (id),
        name text NOT NULL,
        join_phrase text NOT NULL,
        CONSTRAINT pk_artist_credit_name PRIMARY KEY (credit_id, position)
    )
    """,
    "CREATE INDEX ix_artist_credit_name_artist_id_credit_id ON artist_credit_name (artist_id, credit_id)",
    """
    CREATE TABLE genre (
        id uuid CONSTRAINT pk_genre PRIMARY KEY,
        name text NOT NULL,
        name_key text COLLATE "C" NOT NULL CONSTRAINT uq_genre_name_key UNIQUE
    )
    """,
    "CREATE TABLE image (sha256 bytea CONSTRAINT pk_image PRIMARY KEY, mime_type text NOT NULL)",
    """
    CREATE TABLE release (
        id uuid CONSTRAINT pk_release PRIMARY KEY,
        title text NOT NULL,
        title_key text COLLATE "C" NOT NULL,
        first_artist_id uuid NOT NULL CONSTRAINT fk_release_first_artist_id REFERENCES artist (id),
        credit_id uuid NOT NULL CONSTRAINT fk_release_credit_id REFERENCES artist_credit (id),
        date text NOT NULL,
        cover bytea CONSTRAINT fk_release_cover REFERENCES image (sha256),
        CONSTRAINT uq_release_title_key_first_artist_id UNIQUE (title_key, first_artist_id)
    )
    """,
    "CREATE INDEX ix_release_title_key_id ON release (title_key, id)",
    "CREATE INDEX ix_release_credit_id ON release (credit_id)",
    """
    CREATE TABLE recording (
        id uuid CONSTRAINT pk_recording PRIMARY KEY,
        title text NOT NULL,
        title_key text COLLATE "C" NOT NULL,
        credit_id uuid NOT NULL CONSTRAINT fk_recording_credit_id REFERENCES artist_credit (id),
        duration_ms bigint NOT NULL,
        date text NOT NULL,
        explicit boolean NOT NULL,
        cover bytea CONSTRAINT fk_recording_cover REFERENCES image (sha256)
    )
    """,
    "CREATE INDEX ix_recording_title_key_id ON recording (title_key, id)",
    "CREATE INDEX ix_recording_credit_id ON recording (credit_id)",
    """
    CREATE TABLE track (
        release_id uuid CONSTRAINT fk_track_release_id REFERENCES release (id),
        recording_id uuid CONSTRAINT fk_track_recording_id REFERENCES recording (id),
        disc_number integer NOT NULL,
        track_number integer NOT NULL,
        CONSTRAINT pk_track PRIMARY KEY (release_id, recording_id)
    )
    """,
    "CREATE INDEX ix_track_recording_id ON track (recording_id)",
    """
    CREATE INDEX ix_track_release_id_disc_number_track_number_recording_id
        ON track (release_id, disc_number, track_number, recording_id)
    """,
    """
    CREATE TABLE recording_isrc (
        recording_id uuid CONSTRAINT fk_recording_isrc_recording_id REFERENCES recording (id),
        isrc text,
        CONSTRAINT pk_recording_isrc PRIMARY KEY (recording_id, isrc)
    )
    """,
    """
    CREATE TABLE recording_genre (
        genre_id uuid CONSTRAINT fk_recording_genre_genre_id REFERENCES genre (id),
        recording_id uuid CONSTRAINT fk_recording_genre_recording_id REFERENCES recording (id),
        position smallint NOT NULL,
        title_key text COLLATE "C" NOT NULL,
        CONSTRAINT pk_recording_genre PRIMARY KEY (genre_id, recording_id)
    )
    """,
    "CREATE INDEX ix_recording_genre_recording_id ON recording_genre (recording_id)",
    """
    CREATE INDEX ix_recording_genre_genre_id_title_key_recording_id
        ON recording_genre (genre_id, title_key, recording_id)
    """,
    """
    CREATE TABLE rendition (
        recording_id uuid CONSTRAINT fk_rendition_recording_id REFERENCES recording (id),
        rendition_id bytea,
        position smallint NOT NULL,
        codec smallint NOT NULL,
        bitrate_bps bigint NOT NULL,
        size_bytes bigint NOT NULL,
        duration_ms bigint NOT NULL,
        sample_rate_hz integer NOT NULL,
        channels integer NOT NULL,
        mime_type text NOT NULL,
        CONSTRAINT pk_rendition PRIMARY KEY (recording_id, rendition_id)
    )
    """,
    """
    CREATE TABLE source (
        sha256 bytea CONSTRAINT pk_source PRIMARY KEY,
        recording_id uuid NOT NULL
            CONSTRAINT fk_source_recording_id REFERENCES recording (id) DEFERRABLE INITIALLY DEFERRED
    )
    """,
    "CREATE INDEX ix_source_recording_id ON source (recording_id)",
    """
    CREATE TABLE song_search (
        recording_id uuid CONSTRAINT pk_song_search PRIMARY KEY
            CONSTRAINT fk_song_search_recording_id REFERENCES recording (id),
        title_key text COLLATE "C" NOT NULL,
        artist_key text COLLATE "C" NOT NULL,
        exact_titles text[] NOT NULL,
        exact_names text[] NOT NULL,
        words tsvector NOT NULL
    )
    """,
    "CREATE INDEX ix_song_search_title_key_recording_id ON song_search (title_key, recording_id)",
    "CREATE INDEX ix_song_search_artist_key_recording_id ON song_search (artist_key, recording_id)",
    "CREATE INDEX ix_song_search_exact_titles ON song_search USING gin (exact_titles)",
    "CREATE INDEX ix_song_search_exact_names ON song_search USING gin (exact_names)",
    "CREATE INDEX ix_song_search_words ON song_search USING gin (words)",
    """
    CREATE TABLE vocabulary (
        word text COLLATE "C" CONSTRAINT pk_vocabulary PRIMARY KEY,
        deletions text[] NOT NULL
    )
    """,
    "CREATE INDEX ix_vocabulary_deletions ON vocabulary USING gin (deletions)",
    "CREATE INDEX ix_vocabulary_trigrams ON vocabulary USING gin (word gin_trgm_ops)",
    """
    CREATE TABLE progress (
        user_id text COLLATE "C",
        recording_id uuid CONSTRAINT fk_progress_recording_id REFERENCES recording (id),
        device_id text COLLATE "C",
        epoch bigint NOT NULL,
        sequence bigint NOT NULL,
        position_ms bigint NOT NULL,
        finished boolean NOT NULL,
        save_number bigint NOT NULL,
        saved_at timestamptz NOT NULL,
        CONSTRAINT pk_progress PRIMARY KEY (user_id, recording_id, device_id)
    )
    """,
    """
    CREATE TABLE progress_pointer (
        user_id text COLLATE "C",
        recording_id uuid CONSTRAINT fk_progress_pointer_recording_id REFERENCES recording (id),
        device_id text COLLATE "C" NOT NULL,
        saves bigint NOT NULL,
        CONSTRAINT pk_progress_pointer PRIMARY KEY (user_id, recording_id)
    )
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
