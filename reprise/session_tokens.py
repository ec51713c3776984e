"""Session tokens: who listens, as an EdDSA JWT (RFC 7519, RFC 8037) that lives minutes. Pure: the clock is an argument.

The catalog signs with its private key; whoever holds only the public keys (a balancer) can verify and forge none. Of the header
nothing is believed but which of our keys it names: the algorithm is fixed. A token cannot be taken back: what ends is the
session, by which the next one would be made.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jwt
from cachetools import LRUCache
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.types import Options

from reprise.errors import Unauthenticated
from reprise.manifests import key_id_of

ISSUER = AUDIENCE = "reprise"
ACCESS_TTL_S = 15 * 60
# How far the clocks of who signs and who verifies may be apart.
LEEWAY_S = 30
TOKEN_CHARS_MAX = 1024
VERIFIED_MAX = 10_000
_ALGORITHM = "EdDSA"
# Moments are compared here, with the clock given; PyJWT would read its own.
_OPTIONS: Options = {
    "require": ["iss", "aud", "sub", "sid", "did", "iat", "nbf", "exp"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


@dataclass(frozen=True, slots=True)
class SessionClaims:
    """What a token says: which account, in which session, on which device, from when until when."""

    account_id: str
    session_id: str
    device_id: str
    issued_unix_s: int
    expires_unix_s: int


def mint(claims: SessionClaims, key: Ed25519PrivateKey) -> str:
    """The token as text, signed with `key`, which its header names."""
    payload = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": claims.account_id,
        "sid": claims.session_id,
        "did": claims.device_id,
        "iat": claims.issued_unix_s,
        "nbf": claims.issued_unix_s,
        "exp": claims.expires_unix_s,
    }
    return jwt.encode(payload, key, algorithm=_ALGORITHM, headers={"kid": key_id_of(key.public_key())})


class Verifier:
    """Verifies tokens by any of several public keys, so that a new key can be known before it signs.

    A signature costs 0.1 ms, and a listener shows the same token for minutes: the last ones found good are remembered. Their
    moments are compared each time.
    """

    def __init__(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._keys = keys
        self._verified: LRUCache[str, SessionClaims] = LRUCache(VERIFIED_MAX)

    def verify(self, token: str, now_unix_s: float) -> SessionClaims:
        """What the token says. Raises Unauthenticated: malformed, not signed by us, for something else, early or late."""
        claims = self._verified.get(token)
        if claims is None:
            claims = _open(token, self._keys)
            self._verified[token] = claims
        if claims.expires_unix_s + LEEWAY_S <= now_unix_s:
            late_s = int(now_unix_s - claims.expires_unix_s)
            raise Unauthenticated(f"the session token expired {late_s} s ago: refresh the session")
        if claims.issued_unix_s - LEEWAY_S > now_unix_s:
            raise Unauthenticated("the session token is not valid yet: check the clocks of the services")
        return claims


def _open(token: str, keys: Mapping[str, Ed25519PublicKey]) -> SessionClaims:
    """The claims of a token that one of `keys` signed."""
    if len(token) > TOKEN_CHARS_MAX:
        raise Unauthenticated(f"a session token has at most {TOKEN_CHARS_MAX} characters, not {len(token)}")
    try:
        key = keys.get(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            raise Unauthenticated("the session token is not signed by a key of this mesh: log in again")
        body = jwt.decode(token, key, algorithms=[_ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=_OPTIONS)
    except jwt.PyJWTError:
        # The library's message may quote the token.
        raise Unauthenticated("the session token is malformed or not signed by this mesh: log in again") from None
    return SessionClaims(body["sub"], body["sid"], body["did"], body["iat"], body["exp"])
