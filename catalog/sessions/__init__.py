"""Who listens: accounts, devices, sessions, and the tokens that say so.

`listeners` is what the rest of the catalog asks. Nothing here knows what anybody listened to.
"""
