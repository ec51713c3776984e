"""What listeners may see: a song or release from its moment on, unless it is taken down.

Compared with the clock of the database in each query, so at the moment nothing has to run, and every catalog means the same
moment.
"""

from typing import Any

import sqlalchemy as sa


def is_out(available_from: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """Whether a row's moment has come. Nearly always true: a filter on rows that an index gives in order, never an index of
    its own."""
    return sa.or_(available_from.is_(None), available_from <= sa.func.now())


def is_visible(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a row of `recording` or `release` is to be seen: out, and not taken down."""
    return sa.and_(is_out(table.c.available_from), table.c.withdrawn_at.is_(None))
