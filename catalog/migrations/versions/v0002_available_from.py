"""Moments from which releases and their songs are to be seen. Null is what has always been so."""

from alembic import op

revision = "0002"
down_revision = "0001"

_STATEMENTS = (
    "ALTER TABLE release ADD COLUMN available_from timestamptz",
    "ALTER TABLE recording ADD COLUMN available_from timestamptz",
    "ALTER TABLE song_search ADD COLUMN available_from timestamptz",
    "CREATE INDEX ix_release_available_from_id ON release (available_from, id) WHERE available_from IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
