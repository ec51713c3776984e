"""Session tokens: ours are taken, whatever else is tried is refused, and clocks may be a little apart."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from reprise.errors import Unauthenticated
from reprise.manifests import key_id_of
from reprise.session_tokens import ACCESS_TTL_S, LEEWAY_S, TOKEN_CHARS_MAX, SessionClaims, Verifier, mint

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
PUBLIC = {key_id_of(KEY.public_key()): KEY.public_key()}
NOW = 1_800_000_000
CLAIMS = SessionClaims("account", "session", "phone", NOW, NOW + ACCESS_TTL_S)
TOKEN = mint(CLAIMS, KEY)


def body(**changes: object) -> dict[str, object]:
    """What `mint` puts into a token, changed; None leaves a claim out."""
    claims = jwt.decode(TOKEN, options={"verify_signature": False}) | changes
    return {name: value for name, value in claims.items() if value is not None}


def signed(payload: dict[str, object], *, kid: str | None = None, key: Ed25519PrivateKey = KEY) -> str:
    return jwt.encode(payload, key, algorithm="EdDSA", headers={"kid": kid or key_id_of(KEY.public_key())})


def test_what_was_minted_is_verified() -> None:
    assert Verifier(PUBLIC).verify(TOKEN, NOW) == CLAIMS


def test_tokens_of_the_old_and_of_the_new_key_are_taken_while_keys_change() -> None:
    both = Verifier(PUBLIC | {key_id_of(OTHER_KEY.public_key()): OTHER_KEY.public_key()})
    assert both.verify(TOKEN, NOW) == both.verify(mint(CLAIMS, OTHER_KEY), NOW) == CLAIMS


@pytest.mark.parametrize("remembered", [False, True])
def test_clocks_may_be_half_a_minute_apart_and_no_more(remembered: bool) -> None:
    verifier = Verifier(PUBLIC)
    if remembered:
        verifier.verify(TOKEN, NOW)
    assert verifier.verify(TOKEN, NOW + ACCESS_TTL_S + LEEWAY_S - 1) == CLAIMS
    assert verifier.verify(TOKEN, NOW - LEEWAY_S) == CLAIMS
    with pytest.raises(Unauthenticated, match="expired 30 s ago"):
        verifier.verify(TOKEN, NOW + ACCESS_TTL_S + LEEWAY_S)
    with pytest.raises(Unauthenticated, match="not valid yet"):
        verifier.verify(TOKEN, NOW - LEEWAY_S - 1)


def _without_signature() -> str:
    return jwt.encode(body(), None, algorithm="none", headers={"kid": next(iter(PUBLIC))})


def _by_hmac_with_the_public_key(encoding: serialization.Encoding, form: serialization.PublicFormat) -> str:
    """The old trick: a public key used as a shared secret. Made by hand, for PyJWT refuses to."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": next(iter(PUBLIC))}).encode())
    text = f"{head}.{part(json.dumps(body()).encode())}"
    secret = KEY.public_key().public_bytes(encoding, form)
    return f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256))}"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b.c",
        "é.ß.ø",
        _without_signature(),
        _without_signature() + "AAAA",
        _by_hmac_with_the_public_key(serialization.Encoding.Raw, serialization.PublicFormat.Raw),
        _by_hmac_with_the_public_key(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        mint(CLAIMS, OTHER_KEY),
        signed(body(), key=OTHER_KEY),
        signed(body(aud="another")),
        signed(body(iss="another")),
        *(signed(body(**{name: None})) for name in ("iss", "aud", "sub", "sid", "did", "iat", "nbf", "exp")),
        "x" * (TOKEN_CHARS_MAX + 1),
    ],
)
def test_what_this_mesh_did_not_sign_for_this_use_is_refused_without_quoting_it(token: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        Verifier(PUBLIC).verify(token, NOW)
    assert not token or token not in refused.value.message


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_a_token_with_any_character_changed_is_refused(at: int, character: str) -> None:
    changed = TOKEN[:at] + character + TOKEN[at + 1 :]
    if _bytes(changed) == _bytes(TOKEN):
        return
    with pytest.raises(Unauthenticated):
        Verifier(PUBLIC).verify(changed, NOW)


def _bytes(token: str) -> list[bytes | str]:
    """What the parts of a token stand for: the last character of one may differ in bits that mean nothing."""
    parts = token.split(".")
    try:
        return [*parts[:2], base64.urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4))]
    except (ValueError, IndexError):
        return []


@given(st.text(max_size=300))
def test_any_text_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        Verifier(PUBLIC).verify(token, NOW)
