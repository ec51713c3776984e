"""What listeners may see: a song or release from its moment on. Compared with the clock of the database in each query, so at
the moment nothing has to run, and every catalog means the same one."""

from typing import Any

import sqlalchemy as sa


def is_out(available_from: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """Whether a row's moment has come. Nearly always true: a filter on rows that an index gives in order, never an index of
    its own."""
    return sa.or_(available_from.is_(None), available_from <= sa.func.now())
