"""Copies of published indexes on local disk: views, each a folder of an engine's files beside the manifest that names them.

Files never change, so views share them by hard links: the next one costs the disk only what is new in it. A complete view has
its manifest beside it: `view-7/` and `view-7.json`. What is on its way is in `incoming/`, named by digest, and stays there when
a download is cut off.

Invariants: a view is complete or does not count; nothing outside of the folder is touched. One process at a time uses a folder.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.searching.manifest import IndexFile, IndexManifest, from_bytes, to_bytes
from reprise.config import ConfigError
from reprise.errors import DataCorrupt

_VIEW = re.compile(r"view-([0-9]{1,18})\Z")
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class View:
    """A complete copy."""

    path: Path
    manifest: IndexManifest


class IndexFolder:
    """The views of one process in `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._lock = -1

    def open(self) -> None:
        """Makes the folder and takes it for this process. Raises ConfigError."""
        try:
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"index_dir {self._root} is in use by another process") from None
        except OSError as error:
            raise ConfigError(f"index_dir: cannot use {self._root}: {error.strerror}") from None
        for path in self._root.iterdir():
            if path.name.startswith("new-"):
                shutil.rmtree(path)

    def close(self) -> None:
        """Lets the folder go."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def newest(self) -> View | None:
        """The newest view whose files have the sizes they should have. What is in them, `damaged` says."""
        for number in sorted(self._numbers(), reverse=True):
            path = self._root / f"view-{number}"
            try:
                manifest = from_bytes(path.with_suffix(".json").read_bytes())
                if all((path / file.name).stat().st_size == file.size_bytes for file in manifest.files):
                    return View(path, manifest)
            except (OSError, DataCorrupt):
                continue
        return None

    def damaged(self, view: View) -> list[str]:
        """Removes the files of a view that are not as their digests say, and names them. Reads all of it."""
        names = []
        for file in view.manifest.files:
            path = view.path / file.name
            if not _is(path, file):
                path.unlink(missing_ok=True)
                names.append(file.name)
        return names

    def take_over(self, manifest: IndexManifest, view: View | None) -> list[IndexFile]:
        """Files of `manifest` that neither `view` nor an earlier attempt has. Forgets what came in for another manifest."""
        wanted = {file.sha256 for file in manifest.files}
        for path in self._incoming.iterdir():
            if path.name not in wanted:
                path.unlink()
        have = {file.sha256 for file, _ in _files(view)} | {path.name for path in self._incoming.iterdir()}
        return [file for file in manifest.files if file.sha256 not in have]

    def incoming(self, file: IndexFile) -> Path:
        """Where a file goes when it is whole."""
        return self._incoming / file.sha256

    def complete(self, manifest: IndexManifest, view: View | None) -> View:
        """The view of `manifest`, of files that came in and those it shares with `view`."""
        sources = {file.sha256: path for file, path in _files(view)}
        return self._new(manifest, lambda file: sources.get(file.sha256) or self.incoming(file))

    def keep(self, manifest: IndexManifest, path: Path) -> View:
        """The view of `manifest` whose files are in `path`."""
        return self._new(manifest, lambda file: path / file.name)

    def drop_all_but(self, view: View) -> None:
        """Removes every other view. Whoever has one open goes on reading it: the kernel keeps open files."""
        for number in self._numbers():
            path = self._root / f"view-{number}"
            if path != view.path:
                path.with_suffix(".json").unlink(missing_ok=True)
                shutil.rmtree(path, ignore_errors=True)
        for path in self._incoming.iterdir():
            path.unlink()

    def _new(self, manifest: IndexManifest, source: Callable[[IndexFile], Path]) -> View:
        number = max(self._numbers(), default=0) + 1
        making, path = self._root / f"new-{number}", self._root / f"view-{number}"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        for file in manifest.files:
            os.link(source(file), making / file.name)
        making.rename(path)
        _write_whole(path.with_suffix(".json"), to_bytes(manifest))
        return View(path, manifest)

    def _numbers(self) -> list[int]:
        return [int(match[1]) for path in self._root.iterdir() if (match := _VIEW.match(path.name))]


def digest_of(path: Path) -> IndexFile:
    """What a manifest says of a file."""
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256")
        return IndexFile(path.name, source.tell(), digest.hexdigest())


def _is(path: Path, file: IndexFile) -> bool:
    try:
        return digest_of(path) == file
    except OSError:
        return False


def _files(view: View | None) -> Iterator[tuple[IndexFile, Path]]:
    if view is None:
        return
    for file in view.manifest.files:
        path = view.path / file.name
        if path.exists():
            yield file, path


def _write_whole(path: Path, body: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(body)
    part.rename(path)
