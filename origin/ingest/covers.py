"""The picture of a song: embedded in the file, else an image in its folder. Only real JPEG, PNG and WebP of sane size count."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

COVER_BYTES_MAX = 10 << 20
_STEMS = ("cover", "folder", "front", "album", "albumart")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, slots=True)
class Cover:
    """An image by its content."""

    data: bytes
    sha256: str
    mime_type: str


def choose_cover(embedded: bytes, folder: Path) -> Cover | None:
    """The embedded picture if it is one, else the folder's."""
    return cover_of(embedded) or _in_folder(folder)


def cover_of(data: bytes) -> Cover | None:
    """`data` as a cover; None when it is no picture, or too large."""
    mime_type = _mime_type(data)
    if not mime_type or len(data) > COVER_BYTES_MAX:
        return None
    return Cover(data, hashlib.sha256(data).hexdigest(), mime_type)


def _mime_type(data: bytes) -> str:
    """By the first bytes, because taggers write what they like; "" when unknown."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return ""


def _in_folder(folder: Path) -> Cover | None:
    images = {entry.name.lower(): entry for entry in sorted(folder.iterdir(), reverse=True)}
    for name in (stem + suffix for stem in _STEMS for suffix in _SUFFIXES):
        path = images.get(name)
        if (
            path
            and path.is_file()
            and path.stat().st_size <= COVER_BYTES_MAX
            and (cover := cover_of(path.read_bytes()))
        ):
            return cover
    return None
