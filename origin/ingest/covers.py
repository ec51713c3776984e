"""The picture of a song: embedded in the file, else an image in its folder; and that picture in the sizes that screens want.

Pictures come from anywhere: only JPEG, PNG, WebP and GIF are opened, their pixels are counted before they are unpacked, and one
that is damaged leaves its song without a cover, never out of the catalog.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

# The catalog serves no larger ones.
COVER_BYTES_MAX = 8 << 20
# 150 MB in memory; scans for print have less.
PIXELS_MAX = 50_000_000
SIZES_PX = (96, 320, 640, 1280)
JPEG_QUALITY = 85
_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
_STEMS = ("cover", "folder", "front", "album", "albumart")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")


@dataclass(frozen=True, slots=True)
class Cover:
    """A picture in the file `path`, and scaled down in files beside it: `sizes_px`, ascending, are their longer edges."""

    path: str
    sha256: str
    mime_type: str
    sizes_px: tuple[int, ...]

    def size_path(self, edge_px: int) -> Path:
        return Path(f"{self.path}-{edge_px}.jpg")


class BadPicture(Exception):
    """This is no picture to show; the message says why."""


def make_cover(embedded: bytes, beside: Path, into: Path) -> tuple[Cover | None, tuple[str, ...]]:
    """The embedded picture if it is one, else that of the folder `beside`, written to the folder `into`; and what was wrong."""
    notes: list[str] = []
    for what, data in (("the embedded picture", embedded), ("the folder's picture", _in_folder(beside))):
        try:
            if data:
                return _made(data, into / "cover"), tuple(notes)
        except BadPicture as reason:
            notes.append(f"{what} is no cover: {reason}")
    return None, tuple(notes)


def _made(data: bytes, path: Path) -> Cover:
    if len(data) > COVER_BYTES_MAX:
        raise BadPicture(f"it has over {COVER_BYTES_MAX >> 20} MiB")
    try:
        with warnings.catch_warnings(action="error"), Image.open(io.BytesIO(data), formats=tuple(_FORMATS)) as image:
            return _scaled(image, data, path)
    except UnidentifiedImageError:
        raise BadPicture("it is neither JPEG, PNG, WebP nor GIF") from None
    # Pillow's parsers let the errors of damaged files through as they are.
    except (OSError, ValueError, SyntaxError, ArithmeticError, LookupError, EOFError, Warning, MemoryError) as error:
        raise BadPicture(f"it is damaged: {error}") from None


def _scaled(image: Image.Image, data: bytes, path: Path) -> Cover:
    mime_type, (width, height) = _FORMATS[image.format or ""], image.size
    if width * height > PIXELS_MAX:
        raise BadPicture(f"it has {width} x {height} pixels")
    sizes = [size for size in SIZES_PX if size < max(width, height)]
    image.draft("RGB", (2 * SIZES_PX[-1], 2 * SIZES_PX[-1]))
    picture = _flat(ImageOps.exif_transpose(image))
    cover = Cover(str(path), hashlib.sha256(data).hexdigest(), mime_type, tuple(sizes))
    for size in reversed(sizes):
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
        picture.save(cover.size_path(size), "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    path.write_bytes(data)
    return cover


def _flat(image: Image.Image) -> Image.Image:
    """In plain colours, what is transparent on white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    over = image.convert("RGBA")
    white = Image.new("RGBA", over.size, "white")
    return Image.alpha_composite(white, over).convert("RGB")


def _in_folder(folder: Path) -> bytes:
    """The first picture by the usual names; empty when there is none of a sane size."""
    images = {entry.name.lower(): entry for entry in sorted(folder.iterdir(), reverse=True)}
    for name in (stem + suffix for stem in _STEMS for suffix in _SUFFIXES):
        path = images.get(name)
        if path and path.is_file() and path.stat().st_size <= COVER_BYTES_MAX:
            return path.read_bytes()
    return b""
