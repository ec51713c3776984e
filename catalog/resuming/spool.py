"""User actions on this catalog's disk, while the database does not take them.

`append` returns when a record is synced; those that come at once share one sync. Records are in files that are appended to,
then sealed, then replayed, then deleted: never changed. A file whose write failed is sealed as it is, for nobody knows what of
it is on the disk. After a crash all files there are sealed; replaying one twice changes nothing.

One process uses a folder: it holds a lock on it. What is on disk is in memory too, so bytes on disk bound both.
"""

import asyncio
import fcntl
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from catalog.resuming.journal import Spooled, from_records, to_record
from catalog.resuming.metrics import ResumeMetrics
from reprise.config import ConfigError
from reprise.errors import Unavailable
from reprise.log import get_logger

log = get_logger()

_SUFFIX = ".spool"
_NAMES = "[0-9]" * 10 + _SUFFIX


@dataclass
class Segment:
    """One file, and what it holds."""

    path: Path
    records: list[Spooled] = field(default_factory=list)
    size_bytes: int = 0


@dataclass
class _Group:
    """Records that are synced together, and who waits for that."""

    records: list[Spooled] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    done: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Spool:
    """The spool in `folder`. Raises ConfigError when it cannot be used. `unix_s` is the clock."""

    def __init__(self, folder: Path, bytes_max: int, metrics: ResumeMetrics, unix_s: Callable[[], float]) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self._metrics = metrics
        self._by_user: dict[str, list[Spooled]] = defaultdict(list)
        self._open: Segment | None = None
        self._fd = -1
        self._group: _Group | None = None
        self._writer: asyncio.Task[None] | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock_fd = _lock(folder)
            self._sealed = [self._load(path) for path in sorted(folder.glob(_NAMES))]
        except OSError as error:
            raise ConfigError(f"spool_dir: {folder} cannot be used: {error.strerror or error}") from None
        self._next = 1 + max((int(segment.path.stem) for segment in self._sealed), default=0)
        self._reserved = sum(segment.size_bytes for segment in self._sealed)
        metrics.spool_records.set_function(lambda: sum(map(len, self._by_user.values())))
        metrics.spool_bytes.set_function(lambda: self._reserved)
        metrics.spool_age.set_function(lambda: self._age_s(unix_s()))

    def __bool__(self) -> bool:
        return bool(self._by_user)

    def of(self, user_id: str) -> list[Spooled]:
        """The actions of a listener, in order."""
        return self._by_user.get(user_id, [])

    async def append(self, spooled: Spooled) -> None:
        """Returns when it is on disk. Raises Unavailable."""
        record = to_record(spooled)
        if self._reserved + len(record) > self._bytes_max:
            self._metrics.spool_refused.labels("full").inc()
            raise Unavailable(
                f"the database is away and the spool is full ({self._bytes_max} bytes): try another catalog",
                retry_after_s=5,
            )
        self._reserved += len(record)
        group = self._group = self._group or _Group()
        group.records.append(spooled)
        group.data += record
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_groups())
        await asyncio.shield(group.done)

    def seal(self) -> list[Segment]:
        """The files that nothing is appended to any more: all, unless one is being written at this moment."""
        if self._open is not None and self._writer is None:
            self._seal_open()
        return list(self._sealed)

    def drop(self, segment: Segment) -> None:
        """Its records are in the database."""
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:  # it is replayed again at the next start, which changes nothing
            log.error("spool_not_deleted", path=str(segment.path), error=str(error))
        self._sealed.remove(segment)
        self._reserved -= segment.size_bytes
        self._by_user = defaultdict(list)
        kept = [*self._sealed, *([self._open] if self._open else [])]
        for record in (record for one in kept for record in one.records):
            self._by_user[record.user_id].append(record)

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer
        if self._open is not None:
            self._seal_open()
        os.close(self._lock_fd)

    def _load(self, path: Path) -> Segment:
        data = path.read_bytes()
        records, torn_bytes = from_records(data)
        if torn_bytes:
            self._metrics.spool_torn_bytes.inc(torn_bytes)
            log.warning("spool_torn", path=str(path), records=len(records), torn_bytes=torn_bytes)
        for record in records:
            self._by_user[record.user_id].append(record)
        return Segment(path, records, len(data))

    async def _write_groups(self) -> None:
        while (group := self._group) is not None:
            self._group = None
            try:
                segment = self._open or self._create()
                is_new = segment.size_bytes == 0
                await asyncio.to_thread(_append, self._fd, bytes(group.data), self._folder if is_new else None)
            except OSError as error:
                self._failed(group, error)
            else:
                segment.records += group.records
                segment.size_bytes += len(group.data)
                for record in group.records:
                    self._by_user[record.user_id].append(record)
                group.done.set_result(None)
        self._writer = None

    def _create(self) -> Segment:
        path = self._folder / f"{self._next:010d}{_SUFFIX}"
        self._fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._next += 1
        self._open = Segment(path)
        return self._open

    def _failed(self, group: _Group, error: OSError) -> None:
        log.error("spool_write_failed", folder=str(self._folder), error=str(error))
        self._metrics.spool_refused.labels("disk").inc(len(group.records))
        self._reserved -= len(group.data)
        if self._open is not None:
            self._seal_open()
        group.done.set_exception(Unavailable("neither the database nor the spool takes it: try another catalog"))
        # Whoever waited may have been cancelled; then nobody asks for it.
        group.done.exception()

    def _seal_open(self) -> None:
        assert self._open is not None
        os.close(self._fd)
        self._sealed.append(self._open)
        self._open = None

    def _age_s(self, now_unix_s: float) -> float:
        oldest = (records[0].save.point.saved_unix_ms for records in self._by_user.values() if records)
        return max(now_unix_s - min(oldest, default=now_unix_s * 1000) / 1000, 0.0)


def _lock(folder: Path) -> int:
    fd = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise ConfigError(f"spool_dir: another catalog uses {folder}: give each its own") from None
    return fd


def _append(fd: int, data: bytes, folder: Path | None) -> None:
    """Writes all of it and syncs it; with `folder` also that the file is in it."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
    os.fsync(fd)
    if folder is not None:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)
