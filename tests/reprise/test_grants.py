"""Grants: what was minted comes back, and nothing else gets in, with only two errors that say so."""

import base64
import hashlib
import hmac
from dataclasses import replace

import cbor2
import cwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise import grants
from reprise.errors import Forbidden, Unauthenticated
from reprise.grants import CLOCK_LEEWAY_S, GRANT_BYTES_MAX, Claims, derive_key, mint, verify

MESH_KEY = bytes(range(32))
NOW = 1_700_000_000
SONG, RENDITIONS = "0190c7a2-0000-7000-8000-000000000001", tuple(f"{n:064x}" for n in (1, 2, 3))
LISTEN = Claims(
    scope="listen",
    issuer="balancer-1",
    audience="edge-1",
    subject="session-1",
    grant_id="g-1",
    expires_unix_s=NOW + 600,
    song_id=SONG,
    rendition_ids=RENDITIONS,
    bitrate_bps=96_000,
)
ID = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=32)
CLAIMS = st.builds(
    Claims,
    scope=st.sampled_from(["listen", "relay"]),
    issuer=ID,
    audience=ID,
    subject=ID,
    grant_id=ID,
    expires_unix_s=st.integers(NOW + 1, 1 << 40),
    not_before_unix_s=st.integers(0, NOW),
    song_id=st.one_of(st.just(""), ID),
    rendition_ids=st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=3).map(tuple),
    bitrate_bps=st.integers(0, 1 << 31),
)
CBOR = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.integers(-8, 400), st.text(max_size=4)), inner, max_size=4),
        st.builds(cbor2.CBORTag, st.integers(0, 400), inner),
    ),
    max_leaves=12,
)


def key_of(kid: str) -> bytes:
    return derive_key(MESH_KEY, kid)


def minted(claims: Claims, kid: str | None = None) -> str:
    owner = claims.audience if kid is None else kid
    return mint(claims, owner, key_of(owner))


def opened(grant: str, now: float = NOW, audience: str = "edge-1", scope: str = "listen") -> Claims:
    return verify(grant, key_of, now, audience=audience, scope=scope)


def encoded(message: bytes) -> str:
    return base64.urlsafe_b64encode(message).rstrip(b"=").decode()


def decoded(grant: str) -> bytes:
    return base64.urlsafe_b64decode(grant + "=" * (-len(grant) % 4))


@given(CLAIMS)
def test_what_was_minted_comes_back(claims: Claims) -> None:
    assert opened(minted(claims), audience=claims.audience, scope=claims.scope) == claims


def test_a_grant_for_three_renditions_fits_a_url_and_a_metadata_value() -> None:
    grant = minted(replace(LISTEN, audience="e" * 64, subject="s" * 64, issuer="b" * 64, not_before_unix_s=NOW))
    assert len(grant) < GRANT_BYTES_MAX
    assert set(grant) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_every_owner_has_its_own_key() -> None:
    keys = {derive_key(MESH_KEY, owner, epoch) for owner in ("edge-1", "edge-2", "operator") for epoch in (0, 1)}
    assert len(keys) == 6
    assert all(len(key) == 32 for key in keys)


def test_a_key_is_derived_as_rfc_5869_says() -> None:
    extracted = hmac.digest(bytes(32), MESH_KEY, hashlib.sha256)
    expanded = hmac.digest(extracted, b"reprise-grant-v1\0edge-1\x000\x01", hashlib.sha256)
    assert derive_key(MESH_KEY, "edge-1") == expanded


def test_an_edge_opens_its_own_grants_and_those_of_no_other_edge() -> None:
    own = derive_key(MESH_KEY, "edge-1")
    with pytest.raises(Unauthenticated, match="signature"):
        verify(minted(replace(LISTEN, audience="edge-2")), lambda _kid: own, NOW, audience="edge-2", scope="listen")


def test_an_edge_cannot_forge_a_grant_for_another_edge() -> None:
    forged = mint(replace(LISTEN, audience="edge-2"), "edge-1", key_of("edge-1"))
    with pytest.raises(Unauthenticated, match="must not be signed by 'edge-1'"):
        opened(forged, audience="edge-2")


@pytest.mark.parametrize("scope", ["operator", "origin", "report"])
def test_an_edge_cannot_speak_as_an_operator_or_as_another_edge(scope: str) -> None:
    claims = replace(LISTEN, scope=scope, audience="mesh", subject="edge-2")
    with pytest.raises(Unauthenticated, match="must not be signed"):
        opened(minted(claims, "edge-1"), audience="mesh", scope=scope)


@pytest.mark.parametrize(("scope", "owner"), [("operator", "operator"), ("origin", "edge-1"), ("report", "edge-1")])
def test_a_service_token_is_signed_by_its_subject(scope: str, owner: str) -> None:
    claims = replace(LISTEN, scope=scope, audience="mesh", subject=owner)
    assert opened(minted(claims, owner), audience="mesh", scope=scope) == claims


def test_a_grant_of_another_edge_is_refused_by_name() -> None:
    with pytest.raises(Unauthenticated, match="'edge-2', not for 'edge-1'"):
        opened(minted(replace(LISTEN, audience="edge-2")))


def test_expiry_is_a_strict_bound_with_leeway_for_clocks() -> None:
    end = LISTEN.expires_unix_s + CLOCK_LEEWAY_S
    assert opened(minted(LISTEN), now=end - 0.001) == LISTEN
    with pytest.raises(Unauthenticated, match="expired 60 s ago"):
        opened(minted(LISTEN), now=end)


def test_a_grant_of_the_future_is_refused() -> None:
    claims = replace(LISTEN, not_before_unix_s=NOW + CLOCK_LEEWAY_S + 1)
    with pytest.raises(Unauthenticated, match="not valid yet"):
        opened(minted(claims))
    assert opened(minted(claims), now=NOW + 1) == claims


def test_another_scope_is_forbidden() -> None:
    with pytest.raises(Forbidden, match="'relay'"):
        opened(minted(LISTEN), scope="relay")


def test_an_unknown_key_id_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="signature"):
        verify(minted(LISTEN), lambda _kid: None, NOW, audience="edge-1", scope="listen")


def test_a_missing_and_an_overlong_grant_say_so() -> None:
    with pytest.raises(Unauthenticated, match="missing"):
        opened("")
    with pytest.raises(Unauthenticated, match="1024 characters"):
        opened("A" * 1025)


@given(st.data())
def test_no_changed_byte_gets_through(data: st.DataObject) -> None:
    message = bytearray(decoded(minted(LISTEN)))
    at = data.draw(st.integers(0, len(message) - 1))
    message[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unauthenticated):
        opened(encoded(bytes(message)))


@given(st.one_of(st.text(max_size=1100), st.binary(max_size=768).map(encoded)))
def test_garbage_is_unauthenticated(garbage: str) -> None:
    with pytest.raises(Unauthenticated):
        opened(garbage)


@given(CBOR)
def test_any_cbor_is_unauthenticated(value: object) -> None:
    with pytest.raises(Unauthenticated):
        opened(encoded(cbor2.dumps(value)))


@given(CBOR, CBOR, CBOR, CBOR)
def test_any_four_fields_are_unauthenticated(protected: object, headers: object, payload: object, tag: object) -> None:
    with pytest.raises(Unauthenticated):
        opened(encoded(cbor2.dumps(cbor2.CBORTag(17, [protected, headers, payload, tag]))))


@given(st.one_of(CBOR, st.dictionaries(st.sampled_from([1, 2, 3, 4, 5, 7, 9, 312, -70001, -70002]), CBOR)))
def test_a_well_signed_payload_of_any_shape_raises_nothing_else(payload: object) -> None:
    protected, body = cbor2.dumps({1: 5}), cbor2.dumps(payload)
    mac = hmac.digest(key_of("edge-1"), cbor2.dumps(["MAC0", protected, b"", body]), hashlib.sha256)
    with pytest.raises((Unauthenticated, Forbidden)):
        opened(encoded(cbor2.dumps(cbor2.CBORTag(17, [protected, {4: b"edge-1"}, body, mac]))))


@pytest.mark.parametrize(
    "message",
    [
        b"\x81" * 760,  # deeper than the stack
        b"\xa1\x9a\x7f\xff\xff\xff",  # a key that claims two billion items
        cbor2.dumps(cbor2.CBORTag(4, [10**18, 1])),  # decimals with an exponent that no machine holds
        cbor2.dumps(cbor2.CBORTag(5, [10**18, 1])),
        cbor2.dumps(cbor2.CBORTag(30, [1, 0])),  # a fraction over nothing
        cbor2.dumps(cbor2.CBORTag(35, "(" * 300)),  # not a pattern
    ],
)
def test_cbor_made_to_break_parsers_is_unauthenticated(message: bytes) -> None:
    with pytest.raises(Unauthenticated, match="malformed"):
        opened(encoded(message))


@pytest.mark.parametrize("algorithm", [4, 6, -7, 0, None])
def test_another_algorithm_is_refused_even_when_the_mac_fits(algorithm: int | None) -> None:
    _, headers, payload, _ = cbor2.loads(decoded(minted(LISTEN))).value
    protected = cbor2.dumps({1: algorithm})
    mac = hmac.digest(key_of("edge-1"), cbor2.dumps(["MAC0", protected, b"", payload]), hashlib.sha256)
    with pytest.raises(Unauthenticated):
        opened(encoded(cbor2.dumps(cbor2.CBORTag(17, [protected, headers, payload, mac]))))


def _library_key(owner: str) -> cwt.COSEKey:
    return cwt.COSEKey.from_symmetric_key(key_of(owner), alg="HS256", kid=owner)


def test_the_cwt_library_accepts_our_grants() -> None:
    opened_by_library = cwt.decode(decoded(minted(replace(LISTEN, expires_unix_s=1 << 40))), _library_key("edge-1"))
    assert opened_by_library[1] == "balancer-1"
    assert opened_by_library[3] == "edge-1"
    assert opened_by_library[-70001] == [bytes.fromhex(r) for r in RENDITIONS]


@pytest.mark.parametrize("tagged", [False, True])
def test_we_accept_grants_of_the_cwt_library(tagged: bool) -> None:
    body = {1: "b", 2: "s", 3: "edge-1", 4: NOW + 60, 5: NOW, 6: NOW, 7: b"g", 9: "listen"}
    body |= {312: {3: {1: f"/{SONG}/"}}, -70001: [bytes.fromhex(RENDITIONS[0])]}
    claims = opened(encoded(cwt.encode(body, _library_key("edge-1"), tagged=tagged)))
    assert (claims.grant_id, claims.song_id, claims.rendition_ids) == ("g", SONG, RENDITIONS[:1])


def test_a_grant_covers_its_renditions_of_its_song_only() -> None:
    assert grants.allows(LISTEN, SONG, RENDITIONS[2])
    assert not grants.allows(LISTEN, SONG, "f" * 64)
    assert not grants.allows(LISTEN, "other", RENDITIONS[0])
    assert not grants.allows(replace(LISTEN, rendition_ids=()), SONG, RENDITIONS[0])
