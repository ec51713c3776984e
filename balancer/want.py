"""What a listener asks for, checked. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from balancer.renditions import DEFAULT_CODECS
from reprise.errors import InvalidRequest
from reprise.ids import check_id, check_uuid
from reprise.types.v1.types_pb2 import Codec

SONGS_MAX = 20
FAILED_EDGES_MAX = 100
WARM_EDGES_MAX = 8
REGION_RTTS_MAX = 16


@dataclass(frozen=True, slots=True)
class Want:
    """Songs to route, and what is known of the listener. An empty region or session means none was given."""

    song_ids: tuple[str, ...]
    codecs: tuple[Codec.ValueType, ...]
    bitrate_bps_max: int
    region: str
    session_id: str
    failed_edge_ids: frozenset[str]
    # The edge that the listener hears already, which so expects nothing new; empty when there is none.
    playing_edge_id: str = ""
    # Edges that the listener has a connection to.
    warm_edge_ids: frozenset[str] = frozenset()
    # Milliseconds that the listener measured to regions.
    region_rtts: Mapping[str, float] = field(default_factory=dict)
    # Where its connection comes from; empty where that is not known.
    address: str = ""


def checked(
    song_ids: list[str],
    codecs: list[Codec.ValueType],
    bitrate_bps_max: int = 0,
    region: str = "",
    session_id: str = "",
    failed_edge_ids: list[str] | None = None,
    playing_edge_id: str = "",
    warm_edge_ids: list[str] | None = None,
    region_rtts: Sequence[tuple[str, float]] = (),
    address: str = "",
) -> Want:
    """A Want without repetitions; raises InvalidRequest that names what is wrong."""
    failed, warm = failed_edge_ids or [], warm_edge_ids or []
    if not song_ids or len(song_ids) > SONGS_MAX:
        raise InvalidRequest(f"a route is for 1 to {SONGS_MAX} songs, not {len(song_ids)}")
    if len(failed) > FAILED_EDGES_MAX:
        raise InvalidRequest(f"at most {FAILED_EDGES_MAX} failed_edge_ids, not {len(failed)}")
    if len(warm) > WARM_EDGES_MAX:
        raise InvalidRequest(f"at most {WARM_EDGES_MAX} warm_edge_ids, not {len(warm)}")
    if len(region_rtts) > REGION_RTTS_MAX:
        raise InvalidRequest(f"at most {REGION_RTTS_MAX} region_rtts, not {len(region_rtts)}")
    for song_id in song_ids:
        check_uuid(song_id, "song_id")
    for codec in codecs:
        if codec not in DEFAULT_CODECS:
            raise InvalidRequest(f"codecs must be of CODEC_OPUS, CODEC_AAC, CODEC_FLAC, not number {codec}")
    for value, what in (
        (region, "region"),
        (session_id, "session_id"),
        (playing_edge_id, "the pathway"),
        *((edge, "failed_edge_ids") for edge in failed),
        *((edge, "warm_edge_ids") for edge in warm),
        *((name, "a region in region_rtts") for name, _ in region_rtts),
    ):
        if value or what.endswith(("_ids", "_rtts")):
            check_id(value, what)
    return Want(
        song_ids=tuple(dict.fromkeys(song_ids)),
        codecs=tuple(dict.fromkeys(codecs)) or DEFAULT_CODECS,
        bitrate_bps_max=bitrate_bps_max,
        region=region,
        session_id=session_id,
        failed_edge_ids=frozenset(failed),
        playing_edge_id=playing_edge_id,
        warm_edge_ids=frozenset(warm),
        region_rtts=dict(region_rtts),
        address=address,
    )
