"""Manifests: the signed facts of a rendition. Signed once at ingest, verified by every edge and by clients. Pure.

Whoever holds only the public key can check every chunk it was given, so neither an edge nor a network is trusted with audio.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.protobuf.message import DecodeError

from reprise.chunks import CHUNK_BYTES, chunk_count
from reprise.errors import DataCorrupt
from reprise.types.v1.types_pb2 import Manifest as ManifestMessage
from reprise.types.v1.types_pb2 import Rendition, SegmentIndex, SignedManifest

_DOMAIN = b"reprise-manifest-v1\0"
SIZE_BYTES_MAX = 4 << 30


@dataclass(frozen=True, slots=True)
class Manifest:
    """A verified manifest. `signed` is what was verified, to hand on as it is."""

    rendition: Rendition
    digests: tuple[bytes, ...]
    signed: SignedManifest

    @property
    def rendition_id(self) -> str:
        return self.rendition.rendition_id

    @property
    def size_bytes(self) -> int:
        return self.rendition.size_bytes


def chunk_digests(data: bytes | memoryview) -> list[bytes]:
    """SHA-256 of each chunk of `data`, in order."""
    view = memoryview(data)
    return [hashlib.sha256(view[at : at + CHUNK_BYTES]).digest() for at in range(0, len(view), CHUNK_BYTES)]


def sign(
    rendition: Rendition,
    digests: list[bytes],
    key_id: str,
    key: Ed25519PrivateKey,
    segments: SegmentIndex | None = None,
) -> SignedManifest:
    """Signs the facts and chunk digests of a rendition, and where it may be cut."""
    message = ManifestMessage(
        rendition=rendition, chunk_bytes=CHUNK_BYTES, chunk_sha256=b"".join(digests), segments=segments
    )
    body = message.SerializeToString(deterministic=True)
    return SignedManifest(manifest=body, key_id=key_id, signature=key.sign(_DOMAIN + body))


def verify(signed: SignedManifest, keys: Mapping[str, Ed25519PublicKey], rendition_id: str) -> Manifest:
    """The manifest of `rendition_id`, or DataCorrupt: unknown key, wrong signature, another rendition, wrong shape."""
    key = keys.get(signed.key_id)
    if key is None:
        raise DataCorrupt(f"manifest of {rendition_id} is signed with an unknown key {signed.key_id[:64]!r}")
    try:
        key.verify(signed.signature, _DOMAIN + signed.manifest)
    except InvalidSignature:
        raise DataCorrupt(f"manifest of {rendition_id} has a wrong signature") from None
    return parse(signed, rendition_id)


def parse(signed: SignedManifest, rendition_id: str) -> Manifest:
    """The manifest of `rendition_id` without a look at its signature: for the origin, which hands it on to who verifies.

    Raises DataCorrupt: another rendition, wrong shape.
    """
    try:
        message = ManifestMessage.FromString(signed.manifest)
    except DecodeError:
        raise DataCorrupt(f"manifest of {rendition_id} is not a manifest") from None
    rendition, packed = message.rendition, message.chunk_sha256
    if rendition.rendition_id != rendition_id:
        raise DataCorrupt(f"manifest of {rendition_id} is of {rendition.rendition_id[:64]!r}")
    if message.chunk_bytes != CHUNK_BYTES or not 0 < rendition.size_bytes <= SIZE_BYTES_MAX:
        raise DataCorrupt(f"manifest of {rendition_id} has an impossible size {rendition.size_bytes}")
    if len(packed) != 32 * chunk_count(rendition.size_bytes):
        raise DataCorrupt(f"manifest of {rendition_id} has {len(packed)} digest bytes for {rendition.size_bytes} bytes")
    digests = tuple(packed[at : at + 32] for at in range(0, len(packed), 32))
    return Manifest(rendition, digests, signed)


def key_id_of(key: Ed25519PublicKey) -> str:
    """Names a public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def parse_signing_key(text: bytes) -> Ed25519PrivateKey:
    """The private key in a secret file: 32 bytes as 64 hex digits. Raises ValueError."""
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text.decode().strip()))


def parse_public_keys(text: bytes) -> dict[str, Ed25519PublicKey]:
    """Public keys by key id from a file with one key a line, 64 hex digits each. Raises ValueError."""
    keys = [Ed25519PublicKey.from_public_bytes(bytes.fromhex(line)) for line in text.decode().split()]
    return {key_id_of(key): key for key in keys}
