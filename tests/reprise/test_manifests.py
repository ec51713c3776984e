"""Manifests: what was signed is verified, and no altered, foreign or misshapen one is."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from reprise import manifests
from reprise.chunks import CHUNK_BYTES
from reprise.errors import DataCorrupt
from reprise.types.v1.types_pb2 import Manifest as ManifestMessage
from reprise.types.v1.types_pb2 import Rendition, SignedManifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY_ID = manifests.key_id_of(KEY.public_key())
KEYS = {KEY_ID: KEY.public_key()}
AUDIO = bytes(range(256)) * 600
RENDITION_ID = hashlib.sha256(AUDIO).hexdigest()


def facts(**changed: object) -> Rendition:
    values: dict[str, object] = {"rendition_id": RENDITION_ID, "size_bytes": len(AUDIO), "bitrate_bps": 96_000}
    return Rendition(**(values | changed))


def signed() -> SignedManifest:
    return manifests.sign(facts(), manifests.chunk_digests(AUDIO), KEY_ID, KEY)


def signed_body(body: bytes) -> SignedManifest:
    return SignedManifest(manifest=body, key_id=KEY_ID, signature=KEY.sign(b"reprise-manifest-v1\0" + body))


def test_a_signed_manifest_verifies_and_lists_the_digest_of_each_chunk() -> None:
    manifest = manifests.verify(signed(), KEYS, RENDITION_ID)
    assert (manifest.rendition_id, manifest.size_bytes) == (RENDITION_ID, len(AUDIO))
    chunks = [AUDIO[at : at + CHUNK_BYTES] for at in range(0, len(AUDIO), CHUNK_BYTES)]
    assert manifest.digests == tuple(hashlib.sha256(chunk).digest() for chunk in chunks)
    assert manifest.signed == signed()


def test_signing_twice_gives_the_same_bytes() -> None:
    assert signed() == signed()


@given(st.data())
def test_no_changed_bit_verifies(data: st.DataObject) -> None:
    changed = signed()
    name = data.draw(st.sampled_from(["manifest", "signature"]))
    value = bytearray(getattr(changed, name))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    setattr(changed, name, bytes(value))
    with pytest.raises(DataCorrupt, match="wrong signature"):
        manifests.verify(changed, KEYS, RENDITION_ID)


@given(st.binary(max_size=200))
def test_signed_garbage_is_corrupt_data_and_nothing_else(body: bytes) -> None:
    with pytest.raises(DataCorrupt):
        manifests.verify(signed_body(body), KEYS, RENDITION_ID)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(DataCorrupt, match="unknown key"):
        manifests.verify(signed(), {}, RENDITION_ID)


def test_another_key_under_the_same_name_is_refused() -> None:
    other = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(DataCorrupt, match="wrong signature"):
        manifests.verify(signed(), {KEY_ID: other}, RENDITION_ID)


def test_the_manifest_of_another_rendition_is_refused() -> None:
    with pytest.raises(DataCorrupt, match="is of"):
        manifests.verify(signed(), KEYS, "f" * 64)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (ManifestMessage(rendition=facts(), chunk_bytes=1, chunk_sha256=bytes(96)), "impossible size"),
        (ManifestMessage(rendition=facts(size_bytes=0), chunk_bytes=CHUNK_BYTES), "impossible size"),
        (ManifestMessage(rendition=facts(size_bytes=1 << 40), chunk_bytes=CHUNK_BYTES), "impossible size"),
        (ManifestMessage(rendition=facts(), chunk_bytes=CHUNK_BYTES, chunk_sha256=bytes(95)), "95 digest bytes"),
        (ManifestMessage(rendition=facts(), chunk_bytes=CHUNK_BYTES, chunk_sha256=bytes(64)), "64 digest bytes"),
    ],
)
def test_a_manifest_of_impossible_shape_is_refused(message: ManifestMessage, complaint: str) -> None:
    with pytest.raises(DataCorrupt, match=complaint):
        manifests.verify(signed_body(message.SerializeToString()), KEYS, RENDITION_ID)


def test_a_signature_of_another_domain_is_refused() -> None:
    body = signed().manifest
    bare = SignedManifest(manifest=body, key_id=KEY_ID, signature=KEY.sign(body))
    with pytest.raises(DataCorrupt, match="wrong signature"):
        manifests.verify(bare, KEYS, RENDITION_ID)


def test_keys_are_read_from_hex_lines() -> None:
    assert manifests.parse_signing_key(bytes(range(32)).hex().encode() + b"\n").public_key() == KEY.public_key()
    line = KEY.public_key().public_bytes_raw().hex()
    assert manifests.parse_public_keys(f"{line}\n{line}\n".encode()) == KEYS


@pytest.mark.parametrize("text", [b"00", b"zz" * 32, b"\xff" * 64])
def test_what_is_no_key_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - three libraries word it
        manifests.parse_signing_key(text)
    with pytest.raises(ValueError):  # noqa: PT011 - three libraries word it
        manifests.parse_public_keys(text)
