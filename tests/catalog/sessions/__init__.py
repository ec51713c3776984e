"""Promises of accounts, sessions and their tokens."""
