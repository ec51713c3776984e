"""The indexer: keeps the search index equal to the database. One of them writes; others wait to take its place."""
