"""Finds audio files: by extension, in one order everywhere, hidden ones left out, no folder entered twice."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from reprise.errors import InvalidRequest

_LOSSY = (
    ".aac",
    ".m4a",
    ".m4b",
    ".mka",
    ".mp2",
    ".mp3",
    ".mp4",
    ".mpc",
    ".oga",
    ".ogg",
    ".opus",
    ".spx",
    ".webm",
    ".wma",
)
_LOSSLESS = (".aif", ".aifc", ".aiff", ".ape", ".flac", ".tta", ".wav", ".wv")
AUDIO_SUFFIXES = frozenset(_LOSSY + _LOSSLESS)


def find_audio(paths: Iterable[Path]) -> list[Path]:
    """Audio files in `paths`, folders walked, each file once. A file that is named itself counts whatever its extension.

    Raises InvalidRequest for a path that does not exist or cannot be read.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise InvalidRequest(f"no such file or folder: {path}")
        for file in _walk(path, set()) if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _walk(folder: Path, above: set[Path]) -> Iterator[Path]:
    # A link to a folder above would be walked without end; a link to a sibling is music like any other.
    real = folder.resolve()
    if real in above:
        return
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InvalidRequest(f"cannot read folder {folder}: {error.strerror}") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, above | {real})
        elif entry.suffix.lower() in AUDIO_SUFFIXES and entry.is_file():
            yield entry
