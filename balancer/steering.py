"""The HLS content steering manifest: where a player that plays a song by HLS should read it from, and when to ask again. Pure.

Apple's HLS Content Steering Specification, version 1. A pathway is an edge, its id the edge's. Every edge needs a grant of its
own, and a grant is in the path, so each pathway is given as a clone with the address of the song's rendition on that edge,
by the variant's stable id, which is the rendition's id. A player ignores clones of pathways that its playlist has already.

Invariants: the pathways stand as the balancer ranks them, the edge that the player hears first where it may stay; an edge that
takes no listeners is not named at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

STEERING_PREFIX = "/steering/"
TTL_S = 10
# A player that is sent elsewhere comes back soon: so many move at once that the next answer may differ.
MOVED_TTL_S = 3


@dataclass(frozen=True, slots=True)
class Pathway:
    """One edge that may serve the song."""

    edge_id: str
    rendition_id: str
    media_url: str


def manifest(
    song_id: str, pathways: tuple[Pathway, ...], playing_edge_id: str, wishes: Mapping[str, str]
) -> dict[str, object]:
    """The manifest as JSON has it. `pathways` are best first and at least one, `wishes` what the next question repeats."""
    priority = [pathway.edge_id for pathway in pathways]
    base_id = playing_edge_id or priority[0]
    return {
        "VERSION": 1,
        "TTL": TTL_S if base_id == priority[0] else MOVED_TTL_S,
        "RELOAD-URI": f"{STEERING_PREFIX}{song_id}?{urlencode(wishes)}",
        "PATHWAY-PRIORITY": priority,
        "PATHWAY-CLONES": [_clone(pathway, base_id) for pathway in pathways if pathway.edge_id != base_id],
    }


def _clone(pathway: Pathway, base_id: str) -> dict[str, object]:
    replacement = {
        "HOST": urlsplit(pathway.media_url).netloc,
        "PER-VARIANT-URIS": {pathway.rendition_id: pathway.media_url},
    }
    return {"BASE-ID": base_id, "ID": pathway.edge_id, "URI-REPLACEMENT": replacement}
