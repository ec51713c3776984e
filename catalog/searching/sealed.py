"""What a commit of Tantivy consists of: the files that `meta.json` names, linked into a folder of their own.

The writer merges segments in the background: it replaces `meta.json`, then deletes what that no longer names. So links made
while `meta.json` stayed the same are complete. Files of the writer's own (locks, lists, segments under way) are no part of it.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.searching.index_folder import digest_of
from catalog.searching.manifest import IndexFile
from reprise.errors import Unavailable

META = "meta.json"
ATTEMPTS_MAX = 10
_SEGMENT_FILE = re.compile(r"([0-9a-f]{32})\.(?:([0-9]+)\.del|[a-z]+)\Z")
_OF_A_SEGMENT = re.compile(r"[0-9a-f]{32}\.")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A commit, in `path`."""

    path: Path
    files: tuple[IndexFile, ...]
    documents: int


def link_sealed(writing: Path, into: Path, known: Sequence[IndexFile]) -> Sealed:
    """Links the last commit of the index in `writing` into a new folder `into`. Raises Unavailable.

    `known` are files of this same index whose digests are known: segment files of one name are equal.
    """
    for _ in range(ATTEMPTS_MAX):
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(mode=0o700)
        stored = (writing / META).read_bytes()
        meta = json.loads(stored)
        try:
            for name in _names(writing, meta):
                os.link(writing / name, into / name)
        except FileNotFoundError:
            continue
        if (into / META).read_bytes() == (writing / META).read_bytes() == stored:
            digests = {file.name: file for file in known if _SEGMENT_FILE.match(file.name)}
            files = tuple(digests.get(path.name) or digest_of(path) for path in sorted(into.iterdir()))
            return Sealed(into, files, _documents(meta))
    raise Unavailable(f"the index in {writing} changes faster than it can be read", retry_after_s=1)


def _names(writing: Path, meta: Any) -> Iterator[str]:
    """Files of the commit: of its segments with their deletions as of now, and those that are of no segment."""
    segments = {entry["segment_id"].replace("-", ""): entry["deletes"] for entry in meta["segments"]}
    for name in [path.name for path in writing.iterdir()]:
        match = _SEGMENT_FILE.match(name)
        if match and match[1] in segments:
            deletes = segments[match[1]]
            if match[2] is None or (deletes and int(match[2]) == deletes["opstamp"]):
                yield name
        elif not _OF_A_SEGMENT.match(name) and not name.startswith("."):
            yield name


def _documents(meta: Any) -> int:
    deleted = sum(entry["deletes"]["num_deleted_docs"] for entry in meta["segments"] if entry["deletes"])
    return int(sum(entry["max_doc"] for entry in meta["segments"]) - deleted)
