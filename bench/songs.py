"""The audio of a benchmark: random bytes signed like real renditions, the same in every process that asks for the same seed."""

import hashlib
import random
import secrets
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reprise import grants, manifests
from reprise.types.v1.types_pb2 import CODEC_AAC, Rendition, SignedManifest

MESH_KEY = bytes(range(32))
SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SONG_ID = "0190c7a2-0000-7000-8000-000000000001"
BITRATE_BPS = 160_000
GRANT_TTL_S = 6 * 3600


@dataclass(frozen=True, slots=True)
class Song:
    """A rendition as the import would leave it."""

    rendition_id: str
    data: bytes
    signed: SignedManifest

    @property
    def origin_path(self) -> str:
        """Where the origin's HTTP port has it, and so nginx and Varnish too."""
        return f"/songs/{self.rendition_id}"

    def edge_path(self, grant: str) -> str:
        return f"/p/{grant}/{SONG_ID}/{self.rendition_id}"


def make_songs(count: int, size_bytes: int) -> list[Song]:
    """`count` different songs."""
    return [_make_song(size_bytes, seed) for seed in range(count)]


def _make_song(size_bytes: int, seed: int) -> Song:
    data = random.Random(seed).randbytes(size_bytes)
    rendition_id = hashlib.sha256(data).hexdigest()
    facts = Rendition(
        rendition_id=rendition_id,
        codec=CODEC_AAC,
        bitrate_bps=BITRATE_BPS,
        size_bytes=size_bytes,
        duration_ms=size_bytes * 8000 // BITRATE_BPS,
        mime_type="audio/mp4",
    )
    key_id = manifests.key_id_of(SIGNING_KEY.public_key())
    return Song(rendition_id, data, manifests.sign(facts, manifests.chunk_digests(data), key_id, SIGNING_KEY))


def listen_grant(edge_id: str, song: Song) -> str:
    """A grant as a balancer would mint it, but valid for as long as a benchmark may run."""
    claims = grants.Claims(
        scope="listen",
        issuer="balancer-1",
        audience=edge_id,
        subject="listener",
        grant_id=secrets.token_urlsafe(9),
        expires_unix_s=int(time.time()) + GRANT_TTL_S,
        song_id=SONG_ID,
        rendition_ids=(song.rendition_id,),
    )
    return grants.mint(claims, edge_id, grants.derive_key(MESH_KEY, edge_id))
