"""Which rendition of a song a listener gets. Pure."""

from collections.abc import Sequence

from reprise.types.v1.types_pb2 import Codec, Rendition

DEFAULT_CODECS: tuple[Codec.ValueType, ...] = (Codec.CODEC_OPUS, Codec.CODEC_AAC, Codec.CODEC_FLAC)


def choose(
    renditions: Sequence[Rendition], codecs: Sequence[Codec.ValueType], bitrate_bps_max: int
) -> Rendition | None:
    """The richest rendition within the limit, of the first codec that has one; None when nothing fits. 0 is no limit."""
    for codec in codecs:
        fitting = [
            r for r in renditions if r.codec == codec and (not bitrate_bps_max or r.bitrate_bps <= bitrate_bps_max)
        ]
        if fitting:
            return max(fitting, key=lambda r: (r.bitrate_bps, r.rendition_id))
    return None
