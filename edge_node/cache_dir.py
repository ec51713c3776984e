"""The cache directory: every system call on it that may block. Called in threads, never on the event loop.

    lock                        held by the one edge that uses the directory
    objects/ab/<id>.sidecar     signed manifest and one byte per chunk (edge_node/sidecar.py)
    objects/ab/<id>.prefix      the chunks of a part, each at its offset in the rendition
    objects/ab/<id>.tail

All writes and removals come from one thread, in the order in which the event loop decided them. A part goes by unlinking its
file: bytes of a file are never changed or cut, so what sendfile has queued on a socket stays what was verified.

Invariants: names are built from checked SHA-256 hex only; files are 0600 in directories 0700; no symbolic link is followed.
"""

import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from edge_node import sidecar
from edge_node.eviction import Key, Part, part_of
from edge_node.open_file import OpenFile
from reprise.chunks import ByteRange, chunk_count, chunk_range
from reprise.config import ConfigError
from reprise.errors import DataCorrupt, InvalidRequest
from reprise.ids import check_sha256
from reprise.manifests import SIZE_BYTES_MAX, Manifest, verify
from reprise.types.v1.types_pb2 import SignedManifest

_SIDECAR = "sidecar"
_SIDECAR_BYTES_MAX = 4096 + 64 * chunk_count(SIZE_BYTES_MAX)
_SUFFIXES = {_SIDECAR, *(part.value for part in Part)}
SHARDS = tuple(f"{number:02x}" for number in range(256))


class Witness(NamedTuple):
    """Changes whenever anybody changes a file through the file system."""

    inode: int
    size_bytes: int
    changed_unix_ns: int


@dataclass(frozen=True, slots=True)
class Found:
    """A rendition that an earlier run left. `present` is what may be there; only reading it tells."""

    manifest: Manifest
    present: Mapping[Part, int]


@dataclass(frozen=True, slots=True)
class Checked:
    """A chunk was read: whether it matches its digest, and the file that this is true of."""

    matches: bool
    witness: Witness


@dataclass(frozen=True, slots=True)
class Write:
    """Copies `chunks` of `key` from `source`, which has them at the same offsets and may leave RAM meanwhile."""

    key: Key
    signed: bytes
    size_bytes: int
    chunks: Sequence[int]
    source: OpenFile
    new_rendition: bool
    new_part: bool


class CacheDir:
    """`pwrite` is a parameter so that a test can have a full disk."""

    def __init__(
        self,
        root: Path,
        keys: Mapping[str, Ed25519PublicKey],
        pwrite: Callable[[int, bytes, int], int] = os.pwrite,
    ) -> None:
        self._root = root
        self._keys = keys
        self._pwrite = pwrite
        try:
            for shard in SHARDS:
                (root / "objects" / shard).mkdir(mode=0o700, parents=True, exist_ok=True)
            root.chmod(0o700)
            self._lock_fd = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigError(f"cache_dir {root} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock_fd)
            raise ConfigError(f"cache_dir {root} is in use by another edge: give each edge its own") from None

    def close(self) -> None:
        """Lets another edge have the directory."""
        os.close(self._lock_fd)

    def open_part(self, key: Key) -> int:
        """A descriptor to read `key` from."""
        return os.open(self._path(key.rendition_id, key.part.value), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)

    def check(self, key: Key, span: ByteRange, digest: bytes) -> Checked:
        """Reads a chunk into the page cache and compares it with its digest. Raises OSError."""
        fd = self.open_part(key)
        try:
            # Before reading: a change after this moment makes the witness stale, so the verdict never covers it.
            seen = witness(fd)
            data = os.pread(fd, span.length, span.start)
        finally:
            os.close(fd)
        return Checked(hashlib.sha256(data).digest() == digest, seen)

    def write(self, job: Write) -> None:
        """Raises OSError; what was written before it stays, and is told apart by the sidecar."""
        rendition_id = job.key.rendition_id
        if job.new_rendition:
            self._create_sidecar(rendition_id, sidecar.encode(job.signed, chunk_count(job.size_bytes)))
        flags_fd = os.open(self._path(rendition_id, _SIDECAR), os.O_WRONLY | os.O_NOFOLLOW)
        try:
            fd = self._create_part(job, flags_fd) if job.new_part else self._reopen_part(job.key)
            try:
                self._copy(job, fd, flags_fd)
            finally:
                os.close(fd)
        finally:
            os.close(flags_fd)

    def drop(self, key: Key) -> None:
        """Removes one part; the rendition keeps its other one. Writes nothing, so that it works on a full disk too."""
        self._path(key.rendition_id, key.part.value).unlink(missing_ok=True)

    def remove(self, rendition_id: str) -> None:
        """Removes all of a rendition. Raises OSError."""
        for suffix in _SUFFIXES:
            self._path(rendition_id, suffix).unlink(missing_ok=True)

    def renditions(self, shard: str) -> set[str]:
        """The ids in `objects/<shard>`; whatever is not ours there is removed. Raises OSError."""
        found = set()
        with os.scandir(self._root / "objects" / shard) as entries:
            for entry in entries:
                rendition_id, _, suffix = entry.name.partition(".")
                if suffix in _SUFFIXES and _is_id(rendition_id) and rendition_id.startswith(shard):
                    found.add(rendition_id)
                elif not entry.is_dir(follow_symlinks=False):
                    Path(entry.path).unlink(missing_ok=True)
        return found

    def adopt(self, rendition_id: str) -> Found | None:
        """What is usable of a rendition; the rest is removed. Raises OSError."""
        try:
            manifest, flags = self._read_sidecar(rendition_id)
        except (DataCorrupt, OSError):
            self.remove(rendition_id)
            return None
        present = {}
        for part in Part:
            claimed = self._written(Key(rendition_id, part), flags, manifest.size_bytes)
            if claimed:
                present[part] = claimed
            else:
                self._path(rendition_id, part.value).unlink(missing_ok=True)
        if not present:
            self.remove(rendition_id)
            return None
        return Found(manifest, present)

    def _path(self, rendition_id: str, suffix: str) -> Path:
        check_sha256(rendition_id, "rendition_id")
        return self._root / "objects" / rendition_id[:2] / f"{rendition_id}.{suffix}"

    def _create_sidecar(self, rendition_id: str, content: bytes) -> None:
        """By rename, so that a sidecar is whole or absent."""
        path = self._path(rendition_id, _SIDECAR)
        fresh = path.with_suffix(".new")
        # There since the start, unless somebody emptied the cache under a running edge.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            self._write_all(fd, content, 0)
        finally:
            os.close(fd)
        fresh.replace(path)

    def _create_part(self, job: Write, flags_fd: int) -> int:
        # Bytes of a file that was dropped may still be set; they must not speak for the new one.
        chunks = [chunk for chunk in range(chunk_count(job.size_bytes)) if part_of(chunk) is job.key.part]
        self._write_all(flags_fd, sidecar.ABSENT * len(chunks), sidecar.flag_offset(len(job.signed), chunks[0]))
        path = self._path(job.key.rendition_id, job.key.part.value)
        path.unlink(missing_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)

    def _reopen_part(self, key: Key) -> int:
        return os.open(self._path(key.rendition_id, key.part.value), os.O_WRONLY | os.O_NOFOLLOW)

    def _copy(self, job: Write, fd: int, flags_fd: int) -> None:
        for chunk in job.chunks:
            span = chunk_range(chunk, job.size_bytes)
            self._write_all(fd, os.pread(job.source.fd, span.length, span.start), span.start)
            self._write_all(flags_fd, sidecar.PRESENT, sidecar.flag_offset(len(job.signed), chunk))

    def _write_all(self, fd: int, data: bytes, offset: int) -> None:
        # A full disk first writes less than asked, and says why only when asked again.
        written = 0
        while written < len(data):
            written += self._pwrite(fd, data[written:], offset + written)

    def _read_sidecar(self, rendition_id: str) -> tuple[Manifest, int]:
        fd = os.open(self._path(rendition_id, _SIDECAR), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            read = sidecar.decode(file.read(_SIDECAR_BYTES_MAX))
        try:
            manifest = verify(SignedManifest.FromString(read.signed), self._keys, rendition_id)
        except DecodeError:
            raise DataCorrupt(f"the sidecar of {rendition_id} holds no manifest") from None
        if read.chunks != len(manifest.digests):
            raise DataCorrupt(f"the sidecar of {rendition_id} is of {read.chunks} chunks")
        return manifest, read.present

    def _written(self, key: Key, flags: int, size_bytes: int) -> int:
        """The chunks of `key` that have their flag and lie within the file."""
        try:
            fd = self.open_part(key)
        except OSError:
            return 0
        try:
            status = os.fstat(fd)
        finally:
            os.close(fd)
        if not stat.S_ISREG(status.st_mode):
            return 0
        return sum(
            1 << chunk
            for chunk in range(chunk_count(size_bytes))
            if part_of(chunk) is key.part
            and flags >> chunk & 1
            and chunk_range(chunk, size_bytes).end <= status.st_size
        )


def witness(fd: int) -> Witness:
    """Of an open file."""
    status = os.fstat(fd)
    return Witness(status.st_ino, status.st_size, status.st_ctime_ns)


def _is_id(text: str) -> bool:
    try:
        check_sha256(text, "rendition_id")
    except InvalidRequest:
        return False
    return True
