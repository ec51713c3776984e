"""The operator's file of prefixes and their regions, read at start and again whenever it changes.

Never harms what works: a new file that is wrong is refused with one line in the log, and the old prefixes stay.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from prometheus_client import Counter

from balancer.geography.cidrs import parse_cidrs
from reprise.config import ConfigError
from reprise.errors import InvalidRequest
from reprise.log import get_logger
from reprise.prefixes import PrefixTable

log = get_logger()

BYTES_MAX = 64 * 1024 * 1024
LOOK_EVERY_S = 2.0
# Of a file that is gone.
_NOTHING = (0, 0, 0)


class CidrFile:
    """The file at `path`; `take` is given its prefixes, by `load` and after each change that `run` finds."""

    def __init__(self, path: Path, take: Callable[[PrefixTable], None], reloads: Counter) -> None:
        self._path = path
        self._take = take
        self._reloads = reloads
        self._seen = _NOTHING

    def load(self) -> None:
        """Raises ConfigError that names the file, and the line where one is wrong."""
        self._seen = _stamp(self._path)
        self._take(_read(self._path))

    async def run(self) -> None:
        """Follows the file until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Takes the file in if it changed since the last look."""
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            # A long file takes seconds.
            prefixes = await asyncio.to_thread(_read, self._path)
        except ConfigError as error:
            self._reloads.labels("refused").inc()
            log.error("regions_cidr_refused", error=error.message)
            return
        self._take(prefixes)
        self._reloads.labels("taken").inc()
        log.info("regions_cidr_taken", prefixes=prefixes.count)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return _NOTHING
    return status.st_mtime_ns, status.st_ino, status.st_size


def _read(path: Path) -> PrefixTable:
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        text = content.decode()
    except OSError as error:
        raise ConfigError(f"regions_cidr_path: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"regions_cidr_path: {path} is not text in UTF-8") from None
    if len(content) > BYTES_MAX:
        raise ConfigError(f"regions_cidr_path: {path} is over {BYTES_MAX >> 20} MiB")
    try:
        return parse_cidrs(text.splitlines())
    except InvalidRequest as error:
        raise ConfigError(f"regions_cidr_path: {path}: {error.message}") from None
