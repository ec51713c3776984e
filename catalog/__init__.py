"""The catalog service: songs, artists, releases and genres, search, and where listeners stopped.

PostgreSQL is the truth. `normalise`, `spelling`, `query`, `listing`, `cursors`, `resume`, `publication` and `wire` are pure.
`database`, `migrate`, `search`, `browse`, `songs`, `publish`, `progress` and `covers` touch the world. The
servicers only translate. Imports no other service.
"""
