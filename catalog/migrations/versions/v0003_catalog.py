"""Release groups, media, aliases, loudness, gapless facts, redirects, taking down; cards, popularity, the outbox; accounts.

Releases that exist become a group of one edition each.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

_LOUDNESS = "ADD COLUMN integrated_lufs real, ADD COLUMN true_peak_dbtp real, ADD COLUMN loudness_range_lu real"
_STATEMENTS = (
    # Artists
    "ALTER TABLE artist ADD COLUMN mbid uuid",
    "CREATE UNIQUE INDEX uq_artist_mbid ON artist (mbid) WHERE mbid IS NOT NULL",
    "ALTER TABLE artist DROP CONSTRAINT uq_artist_name_key",
    "CREATE INDEX ix_artist_name_key ON artist (name_key)",
    "CREATE UNIQUE INDEX uq_artist_name_key ON artist (name_key) WHERE mbid IS NULL",
    """
    CREATE TABLE artist_alias (
        artist_id uuid CONSTRAINT fk_artist_alias_artist_id REFERENCES artist (id),
        alias_key text COLLATE "C",
        alias text NOT NULL,
        CONSTRAINT pk_artist_alias PRIMARY KEY (artist_id, alias_key)
    )
    """,
    "CREATE INDEX ix_artist_alias_alias_key ON artist_alias (alias_key)",
    "ALTER TABLE image ADD COLUMN sizes_px integer[] NOT NULL DEFAULT '{}'",
    # Releases
    """
    CREATE TABLE release_group (
        id uuid CONSTRAINT pk_release_group PRIMARY KEY,
        title text NOT NULL,
        title_key text COLLATE "C" NOT NULL,
        first_artist_id uuid NOT NULL CONSTRAINT fk_release_group_first_artist_id REFERENCES artist (id),
        kind smallint NOT NULL DEFAULT 0,
        mbid uuid
    )
    """,
    "CREATE UNIQUE INDEX uq_release_group_mbid ON release_group (mbid) WHERE mbid IS NOT NULL",
    "CREATE INDEX ix_release_group_title_key_first_artist_id ON release_group (title_key, first_artist_id)",
    "CREATE INDEX ix_release_group_first_artist_id ON release_group (first_artist_id)",
    """
    CREATE UNIQUE INDEX uq_release_group_title_key_first_artist_id
        ON release_group (title_key, first_artist_id) WHERE mbid IS NULL
    """,
    """
    INSERT INTO release_group (id, title, title_key, first_artist_id)
        SELECT id, title, title_key, first_artist_id FROM release
    """,
    f"""
    ALTER TABLE release
        ADD COLUMN group_id uuid CONSTRAINT fk_release_group_id REFERENCES release_group (id),
        ADD COLUMN mbid uuid,
        ADD COLUMN label text NOT NULL DEFAULT '',
        ADD COLUMN barcode text NOT NULL DEFAULT '',
        ADD COLUMN withdrawn_at timestamptz,
        ADD COLUMN withdrawn_reason text NOT NULL DEFAULT '', {_LOUDNESS}
    """,
    "CREATE UNIQUE INDEX uq_release_mbid ON release (mbid) WHERE mbid IS NOT NULL",
    "UPDATE release SET group_id = id",
    "ALTER TABLE release ALTER COLUMN group_id SET NOT NULL",
    "CREATE INDEX ix_release_group_id ON release (group_id)",
    "ALTER TABLE release DROP CONSTRAINT uq_release_title_key_first_artist_id",
    "CREATE UNIQUE INDEX uq_release_group_id ON release (group_id, title_key) WHERE mbid IS NULL",
    "CREATE INDEX ix_release_title_key_first_artist_id ON release (title_key, first_artist_id)",
    """
    CREATE TABLE medium (
        release_id uuid CONSTRAINT fk_medium_release_id REFERENCES release (id),
        disc_number integer,
        title text NOT NULL DEFAULT '',
        format text NOT NULL DEFAULT '',
        CONSTRAINT pk_medium PRIMARY KEY (release_id, disc_number)
    )
    """,
    "INSERT INTO medium (release_id, disc_number) SELECT DISTINCT release_id, disc_number FROM track",
    """
    ALTER TABLE track ADD CONSTRAINT fk_track_release_id_disc_number
        FOREIGN KEY (release_id, disc_number) REFERENCES medium (release_id, disc_number)
    """,
    # Songs
    f"""
    ALTER TABLE recording
        ADD COLUMN mbid uuid,
        ADD COLUMN withdrawn_at timestamptz,
        ADD COLUMN withdrawn_reason text NOT NULL DEFAULT '',
        ADD COLUMN withdrawn_with uuid CONSTRAINT fk_recording_withdrawn_with REFERENCES release (id), {_LOUDNESS}
    """,
    "CREATE INDEX ix_recording_mbid ON recording (mbid)",
    """
    ALTER TABLE rendition
        ADD COLUMN delay_samples integer NOT NULL DEFAULT 0,
        ADD COLUMN padding_samples integer NOT NULL DEFAULT 0,
        ADD COLUMN samples bigint NOT NULL DEFAULT 0
    """,
    """
    CREATE TABLE redirect (
        kind smallint,
        old_id uuid,
        new_id uuid NOT NULL,
        CONSTRAINT pk_redirect PRIMARY KEY (kind, old_id)
    )
    """,
    "CREATE INDEX ix_redirect_kind_new_id ON redirect (kind, new_id)",
    # Derived; words are found by the search index, which is outside of the database.
    "DROP TABLE song_search",
    "DROP TABLE vocabulary",
    """
    CREATE TABLE song_card (
        recording_id uuid CONSTRAINT pk_song_card PRIMARY KEY
            CONSTRAINT fk_song_card_recording_id REFERENCES recording (id),
        message bytea NOT NULL
    )
    """,
    """
    CREATE TABLE popularity (
        kind smallint,
        entity_id uuid,
        score double precision NOT NULL,
        told double precision NOT NULL DEFAULT '-infinity',
        CONSTRAINT pk_popularity PRIMARY KEY (kind, entity_id)
    )
    """,
    """
    CREATE TABLE shelf (
        kind smallint,
        shelf_id uuid,
        entity_id uuid,
        sort_key text COLLATE "C" NOT NULL,
        score double precision NOT NULL DEFAULT '-infinity',
        visible_from timestamptz NOT NULL DEFAULT '-infinity',
        CONSTRAINT pk_shelf PRIMARY KEY (kind, shelf_id, entity_id)
    )
    """,
    "CREATE INDEX ix_shelf_kind_shelf_id_sort_key_entity_id ON shelf (kind, shelf_id, sort_key, entity_id)",
    "CREATE INDEX ix_shelf_kind_shelf_id_score_entity_id ON shelf (kind, shelf_id, score, entity_id)",
    "CREATE INDEX ix_shelf_entity_id ON shelf USING hash (entity_id)",
    # The planner's estimates of how long a list is are shown.
    "CREATE STATISTICS st_shelf (mcv) ON kind, shelf_id FROM shelf",
    """
    CREATE TABLE outbox (
        sequence bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_outbox PRIMARY KEY,
        xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        kind smallint NOT NULL,
        entity_id uuid NOT NULL,
        gone boolean NOT NULL DEFAULT false,
        redirected_to uuid,
        at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX ix_outbox_xid_sequence ON outbox (xid, sequence)",
    "CREATE TABLE outbox_pruned (xid xid8 CONSTRAINT pk_outbox_pruned PRIMARY KEY, sequence bigint NOT NULL)",
    "INSERT INTO outbox_pruned VALUES ('0', 0)",
    # Listeners
    """
    CREATE TABLE account (
        id uuid CONSTRAINT pk_account PRIMARY KEY,
        name text,
        name_key text COLLATE "C" CONSTRAINT uq_account_name_key UNIQUE,
        password_hash text,
        device_secret_digest bytea CONSTRAINT uq_account_device_secret_digest UNIQUE,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE device (
        account_id uuid CONSTRAINT fk_device_account_id REFERENCES account (id),
        device_id text COLLATE "C",
        name text NOT NULL,
        seen_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_device PRIMARY KEY (account_id, device_id)
    )
    """,
    """
    CREATE TABLE session (
        id uuid CONSTRAINT pk_session PRIMARY KEY,
        account_id uuid NOT NULL CONSTRAINT fk_session_account_id REFERENCES account (id),
        device_id text COLLATE "C" NOT NULL,
        refresh_digest bytea NOT NULL,
        previous_digest bytea,
        refreshed_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_session_account_id ON session (account_id)",
    "CREATE INDEX ix_session_expires_at ON session (expires_at)",
    # Resume points
    "ALTER TABLE progress RENAME COLUMN save_number TO revision",
    "ALTER TABLE progress_pointer RENAME COLUMN saves TO revision",
    "ALTER TABLE progress_pointer ADD COLUMN finished boolean, ADD COLUMN played_at timestamptz",
    """
    UPDATE progress_pointer SET finished = progress.finished, played_at = progress.saved_at FROM progress
        WHERE (progress.user_id, progress.recording_id, progress.device_id)
            = (progress_pointer.user_id, progress_pointer.recording_id, progress_pointer.device_id)
    """,
    "ALTER TABLE progress_pointer ALTER COLUMN finished SET NOT NULL, ALTER COLUMN played_at SET NOT NULL",
    "CREATE INDEX ix_progress_pointer_user_id ON progress_pointer (user_id, played_at, recording_id)",
    """
    CREATE INDEX ix_progress_pointer_unfinished
        ON progress_pointer (user_id, played_at, recording_id) WHERE NOT finished
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
