"""What a worker process hands back for one file, and its form on the pipe between the two processes (one line of JSON)."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from origin.ingest.covers import Cover
from origin.ingest.encoding import Encoded
from origin.ingest.loudness import Loudness
from origin.ingest.tag_rules import Credit, Tags


@dataclass(frozen=True, slots=True)
class Prepared:
    """A song ready to upload: renditions and cover are files in the job's folder. `notes` are for people."""

    tags: Tags
    renditions: tuple[Encoded, ...]
    loudness: Loudness | None = None
    cover: Cover | None = None
    notes: tuple[str, ...] = ()

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
    loudness, cover = fields["loudness"], fields["cover"]
    return Prepared(
        tags=_tags(fields["tags"]),
        renditions=tuple(Encoded(**rendition) for rendition in fields["renditions"]),
        loudness=Loudness(**loudness) if loudness else None,
        cover=Cover(**cover | {"sizes_px": tuple(cover["sizes_px"])}) if cover else None,
        notes=tuple(fields["notes"]),
    )


def _tags(fields: dict[str, Any]) -> Tags:
    for name in ("artists", "album_artists"):
        fields[name] = tuple(Credit(**credit) for credit in fields[name])
    for name in ("genres", "isrcs"):
        fields[name] = tuple(fields[name])
    return Tags(**fields)
