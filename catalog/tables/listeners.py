"""Listeners: accounts, devices, sessions, and where each stopped in which song."""

import sqlalchemy as sa

from catalog.tables.columns import KEY, id_column, metadata, moment, ref

# One listener. Without a name it is a device without an account.
account = sa.Table(
    "account",
    metadata,
    id_column(),
    sa.Column("name", sa.Text),
    sa.Column("name_key", KEY, unique=True),
    # argon2id, in the PHC string format.
    sa.Column("password_hash", sa.Text),
    # SHA-256 of the secret of a device without an account.
    sa.Column("device_secret_digest", sa.LargeBinary, unique=True),
    moment("created_at", server_default=sa.text("now()")),
)
device = sa.Table(
    "device",
    metadata,
    ref("account_id", "account.id", primary_key=True),
    sa.Column("device_id", KEY, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    moment("seen_at", server_default=sa.text("now()")),
)
# What may be refreshed: a session that ended has no row.
session = sa.Table(
    "session",
    metadata,
    id_column(),
    ref("account_id", "account.id", index=True),
    sa.Column("device_id", KEY, nullable=False),
    # SHA-256 of the refresh token in use, and of the one before it.
    sa.Column("refresh_digest", sa.LargeBinary, nullable=False),
    sa.Column("previous_digest", sa.LargeBinary),
    moment("refreshed_at", server_default=sa.text("now()")),
    moment("expires_at"),
    sa.Index(None, "expires_at"),
)

# The last save of each device.
progress = sa.Table(
    "progress",
    metadata,
    sa.Column("user_id", KEY, primary_key=True),
    ref("recording_id", "recording.id", primary_key=True),
    sa.Column("device_id", KEY, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("position_ms", sa.BigInteger, nullable=False),
    sa.Column("finished", sa.Boolean, nullable=False),
    # The pointer's revision at this device's last user action.
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
)
# Points at the device of the last user action, and counts those actions. Its row lock puts them in order.
progress_pointer = sa.Table(
    "progress_pointer",
    metadata,
    sa.Column("user_id", KEY, primary_key=True),
    ref("recording_id", "recording.id", primary_key=True),
    sa.Column("device_id", KEY, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    # As of the device's point.
    sa.Column("finished", sa.Boolean, nullable=False),
    # When the listener last played it, to ten minutes. For lists only: no save is decided by it.
    moment("played_at"),
)
_PLAYED = ("user_id", "played_at", "recording_id")
sa.Index("ix_progress_pointer_user_id", *(progress_pointer.c[name] for name in _PLAYED))
# "Continue where you left off", however much the listener has finished since.
sa.Index(
    "ix_progress_pointer_unfinished",
    *(progress_pointer.c[name] for name in _PLAYED),
    postgresql_where=sa.not_(progress_pointer.c.finished),
)
