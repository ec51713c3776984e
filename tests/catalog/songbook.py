"""Made-up publications: only what a test is about needs to be written down."""

import hashlib
import itertools
from typing import Any

from catalog.model import Credit, Publication, Rendition

_count = itertools.count()


def digest(text: str) -> str:
    """A SHA-256 for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def rendition(text: str, **fields: Any) -> Rendition:
    """A rendition whose id is made of `text`."""
    facts = {"codec": 1, "bitrate_bps": 96_000, "size_bytes": 2_400_000, "duration_ms": 200_000}
    shape = {"sample_rate_hz": 48_000, "channels": 2, "mime_type": 'audio/mp4; codecs="opus"'}
    return Rendition(digest(text), **(facts | shape | fields))


def publication(title: str, *artists: str, **fields: Any) -> Publication:
    """A song of its own source, by `artists` or by Nobody."""
    source = f"source {next(_count)}"
    names = artists or ("Nobody",)
    credits_ = tuple(Credit(name, " & " if at + 1 < len(names) else "") for at, name in enumerate(names))
    defaults: dict[str, Any] = {
        "source_sha256": digest(source),
        "title": title,
        "artists": credits_,
        "duration_ms": 200_000,
        "renditions": (rendition(source),),
    }
    return Publication(**(defaults | fields))
