"""The way to PostgreSQL: one server or several, reads near the listener, writes at the one that takes them.

Start reading at `database`; what decides is pure and in `standings` and `positions`.
"""

from catalog.database.connecting import connect
from catalog.database.database import Database
from catalog.database.failures import FAILURES, cause_of
from catalog.database.positions import Position
from catalog.database.server import Work

__all__ = ["FAILURES", "Database", "Position", "Work", "cause_of", "connect"]
