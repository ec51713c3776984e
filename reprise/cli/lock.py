"""Says who runs a mesh's folder: an flock on one file with the supervisor's pid inside.

The kernel drops the lock with its holder, so a lock is never stale, whatever ended the supervisor.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from reprise.cli.folder import Folder
from reprise.errors import AlreadyExists


@contextmanager
def held(folder: Folder) -> Iterator[None]:
    """Holds the folder. Raises AlreadyExists when another supervisor does."""
    with folder.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = holder(folder) or "?"
            raise AlreadyExists(
                f"this mesh runs already (pid {other}, {folder.path}): stop it with `reprise down`, "
                "or start another one with another --data"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(folder: Folder) -> int | None:
    """The pid of the supervisor that holds the folder; None when nobody does."""
    try:
        with folder.lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                # Empty for the instant between locking and writing.
                return int(text) if text.isdigit() else 0
            return None
    except FileNotFoundError:
        return None
