"""Reads tags and the embedded cover of a file: tinytag first, libav second. What they mean is decided in `tag_rules`."""

from pathlib import Path

import av
from tinytag import TinyTag, TinyTagException

from origin.ingest.tag_rules import Source, Tags, tags_of


def read_tags(path: Path) -> tuple[Tags, bytes]:
    """The file's tags and its embedded front cover (empty when there is none). Unreadable tags count as missing."""
    by_tinytag, cover = _by_tinytag(path)
    return tags_of([by_tinytag, _by_libav(path)], path.stem, path.resolve().parent.name), cover


def _by_tinytag(path: Path) -> tuple[Source, bytes]:
    try:
        tag = TinyTag.get(path, image=True)
    # tinytag lets struct and arithmetic errors of damaged headers through; all of them mean "no tags here".
    except (TinyTagException, OSError, ValueError, ArithmeticError, LookupError, EOFError):
        return {}, b""
    fields = {name: [str(v) for v in values] for name, values in tag.as_dict().items() if isinstance(values, list)}
    for name in ("track", "disc"):
        if (value := getattr(tag, name)) is not None:
            fields.setdefault(name, [str(value)])
    cover = tag.images.front_cover or tag.images.any
    return fields, cover.data if cover else b""


def _by_libav(path: Path) -> Source:
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            merged: dict[str, str] = dict(container.metadata)
            for stream in container.streams.audio[:1]:
                merged |= stream.metadata
    except (av.FFmpegError, OSError, ValueError):
        return {}
    return {name: [value] for name, value in merged.items()}
