"""Values that many balancer tests need."""

from balancer.edges import EdgeIdentity, EdgeLoad
from reprise.types.v1.types_pb2 import Codec, Rendition

SONG = "0190c7a2-0000-7000-8000-000000000001"
OTHER_SONG = "0190c7a2-0000-7000-8000-000000000002"
UNKNOWN_SONG = "0190c7a2-0000-7000-8000-00000000dead"
MESH_KEY = bytes(range(32))
OPUS = Rendition(rendition_id="a1" * 32, codec=Codec.CODEC_OPUS, bitrate_bps=96_000, size_bytes=1_000_000)
AAC = Rendition(rendition_id="b2" * 32, codec=Codec.CODEC_AAC, bitrate_bps=128_000, size_bytes=1_300_000)


def identity(edge_id: str = "e1", region: str = "a", boot_id: str = "boot", **changes: object) -> EdgeIdentity:
    values: dict[str, object] = {
        "edge_id": edge_id,
        "region": region,
        "grpc_address": "127.0.0.1:7001",
        "http_url": "http://127.0.0.1:8001",
        "boot_id": boot_id,
        "nic_capacity_bps": 1_000_000_000,
        "stream_limit": 1000,
    }
    return EdgeIdentity(**{**values, **changes})  # type: ignore[arg-type]


def load(**figures: object) -> EdgeLoad:
    return EdgeLoad(**{"sequence": 1, **figures})  # type: ignore[arg-type]
