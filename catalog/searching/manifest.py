"""The manifest of the search index: which files make the index that is in use, and what it holds. Pure.

It is the one mutable object of the index in the store; the files that it names never change. `epoch` counts the indexers that
took over writing, and `number` publications: no two manifests are ever equal, so a store's ETag tells them apart.

Invariant: a manifest that `from_bytes` accepts names only files that may be written into a folder of our own.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from catalog import normalise
from catalog.searching import documents
from reprise.errors import DataCorrupt

FORMAT = 1
MANIFEST_BYTES_MAX = 1 << 20
FILES_MAX = 4096

_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\Z")
_HEX = re.compile(r"[0-9a-f]+\Z")


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One file of the index; `sha256` in lower-case hex."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Versions:
    """What made an index. A build uses only what it would have made the same way."""

    normaliser: int
    schema: int

    def __str__(self) -> str:
        return f"normaliser {self.normaliser} and schema {self.schema}"


THIS_BUILD = Versions(normalise.VERSION, documents.VERSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexManifest:
    """An index as it was published. A rebuild begins a new `generation`; within one, most files stay from one to the next."""

    generation: str
    epoch: int
    number: int
    versions: Versions
    # Where in the outbox the index stands.
    checkpoint: str
    documents: int
    files: tuple[IndexFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def to_bytes(manifest: IndexManifest) -> bytes:
    """As it is stored."""
    return json.dumps({"format": FORMAT, **asdict(manifest)}, separators=(",", ":")).encode()


def from_bytes(stored: bytes) -> IndexManifest:
    """The reverse. Raises DataCorrupt for anything else."""
    try:
        value = json.loads(stored)
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']}")
        manifest = _manifest(value)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataCorrupt(f"the search index's manifest is damaged or of a newer build: {error}") from None
    return manifest


def _manifest(value: Any) -> IndexManifest:
    files = tuple(_file(entry) for entry in value["files"])
    if len(files) > FILES_MAX or len({file.name for file in files}) < len(files):
        raise ValueError("too many files, or two of one name")
    return IndexManifest(
        generation=_hex(value["generation"], 32),
        epoch=_count(value["epoch"]),
        number=_count(value["number"]),
        versions=Versions(*(_count(value["versions"][name]) for name in ("normaliser", "schema"))),
        checkpoint=str(value["checkpoint"]),
        documents=_count(value["documents"]),
        files=files,
    )


def _file(value: Any) -> IndexFile:
    if not _FILE_NAME.match(value["name"]):
        raise ValueError(f"file name {value['name']!r}")
    return IndexFile(value["name"], _count(value["size_bytes"]), _hex(value["sha256"], 64))


def _hex(value: Any, digits: int) -> str:
    if len(value) != digits or not _HEX.match(value):
        raise ValueError(f"{value!r} is not {digits} hex digits")
    return str(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value
