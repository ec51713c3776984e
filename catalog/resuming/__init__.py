"""Where listeners stopped: never lost once answered, never replaced by something older.

What counts is decided by `resume`, which is pure. `points.Resume` is what servicers call. User actions go to PostgreSQL
(`actions`), or while it is down to this catalog's disk (`spool`, `replay`); heartbeats go by way of Valkey (`hot_points`) or
memory to PostgreSQL in batches (`heartbeats`, `batches`).
"""
