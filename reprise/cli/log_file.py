"""Log files that processes append to: bounded, and their last lines.

The writers hold the file open, so it is cut in place: its content is copied to `<name>.1` first. Writers append (O_APPEND), so
they go on at the new end; a line written between copy and cut is lost, which a log can bear.
"""

import shutil
from pathlib import Path

BYTES_MAX = 16 << 20
TAIL_BYTES = 16 << 10
TAIL_LINES = 12


def trim(path: Path) -> None:
    """Moves the content aside when it has grown too large: at most twice BYTES_MAX is kept."""
    try:
        if path.stat().st_size <= BYTES_MAX:
            return
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        with path.open("r+b") as file:
            file.truncate(0)
    except OSError:
        # No room for the copy, or the file is gone: the next round tries again.
        return


def tail(path: Path) -> list[str]:
    """The last lines; none when there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    except OSError:
        return []
