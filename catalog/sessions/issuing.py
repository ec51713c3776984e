"""What a login or a refresh hands out: an access token, and the refresh token that goes with it. Pure."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reprise import session_tokens
from reprise.session_tokens import ACCESS_TTL_S, SessionClaims


@dataclass(frozen=True, slots=True)
class Device:
    """An installation, as it calls itself."""

    device_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Session:
    """What the client gets."""

    session_id: str
    user_id: str
    access_token: str
    access_expires_unix_ms: int
    refresh_token: str
    refresh_expires_unix_ms: int


class Issuer:
    """Signs access tokens."""

    def __init__(self, key: Ed25519PrivateKey, unix_s: Callable[[], float]) -> None:
        self._key = key
        self._unix_s = unix_s

    def issue(
        self, session_id: uuid.UUID, account_id: uuid.UUID, device_id: str, refresh_token: str, expires_at: datetime
    ) -> Session:
        now = int(self._unix_s())
        claims = SessionClaims(str(account_id), str(session_id), device_id, now, now + ACCESS_TTL_S)
        return Session(
            session_id=claims.session_id,
            user_id=claims.account_id,
            access_token=session_tokens.mint(claims, self._key),
            access_expires_unix_ms=claims.expires_unix_s * 1000,
            refresh_token=refresh_token,
            refresh_expires_unix_ms=int(expires_at.timestamp() * 1000),
        )
