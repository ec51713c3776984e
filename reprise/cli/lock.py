"""Says who runs a mesh's folder: an flock on one file with the supervisor's pid inside.

The kernel drops the lock with its holder, so a lock is never stale, whatever ended the supervisor.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from reprise.cli.folder import Folder
from reprise.errors import AlreadyExists, NotReady

HOLDER_TRIES = 20
HOLDER_PAUSE_S = 0.05


@contextmanager
def held(folder: Folder) -> Iterator[None]:
    """Holds the folder. Raises AlreadyExists when another supervisor does."""
    with folder.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyExists(
                f"this mesh runs already (pid {holder(folder)}, {folder.path}): stop it with `reprise down`, "
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
            for _ in range(HOLDER_TRIES):
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    file.seek(0)
                    text = file.read().strip()
                    if text.isdigit():
                        return int(text)
                    # The instant between locking and writing.
                    time.sleep(HOLDER_PAUSE_S)
                    continue
                return None
    except FileNotFoundError:
        return None
    raise NotReady(f"{folder.lock} is locked by something that is no supervisor of ours")
