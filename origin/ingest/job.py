"""What a worker process hands back for one file, and its form on the pipe between the two processes (one line of JSON)."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from origin.ingest.tag_rules import Credit, Tags
from origin.ingest.transcode import Encoded


@dataclass(frozen=True, slots=True)
class Prepared:
    """A song ready to upload: renditions and cover are files in the job's folder."""

    tags: Tags
    renditions: tuple[Encoded, ...]
    # Empty when there is no cover.
    cover_path: str = ""
    cover_sha256: str = ""
    cover_mime_type: str = ""

    @property
    def duration_ms(self) -> int:
        return self.renditions[0].duration_ms


@dataclass(frozen=True, slots=True)
class Rejected:
    """This file cannot become a song."""

    reason: str


def to_line(result: Prepared | Rejected) -> bytes:
    """`result` as one line."""
    kind = "prepared" if isinstance(result, Prepared) else "rejected"
    return json.dumps({kind: asdict(result)}).encode() + b"\n"


def from_line(line: bytes) -> Prepared | Rejected:
    """The reverse of `to_line`. Raises ValueError when `line` is something else."""
    message: dict[str, Any] = json.loads(line)
    if "rejected" in message:
        return Rejected(**message["rejected"])
    if "prepared" not in message:
        raise ValueError("neither prepared nor rejected")
    fields = message["prepared"]
    renditions = tuple(Encoded(**rendition) for rendition in fields.pop("renditions"))
    return Prepared(tags=_tags(fields.pop("tags")), renditions=renditions, **fields)


def _tags(fields: dict[str, Any]) -> Tags:
    for name in ("artists", "album_artists"):
        fields[name] = tuple(Credit(**credit) for credit in fields[name])
    for name in ("genres", "isrcs"):
        fields[name] = tuple(fields[name])
    return Tags(**fields)
