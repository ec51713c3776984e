"""Refresh tokens: how they are made, and what a token that comes back is worth. Pure: clock and randomness are arguments.

A token names its session and carries a secret, both under a seal of the catalog's key. Without the seal it is a guess and costs
no look into the database; with it, it was once given out, so one that is not in use any more was kept by somebody who should
not have it. The database holds digests only: whoever reads it can refresh nothing.

The next token follows from the last one by the key. So whoever asks again, because the answer was lost or because two windows
asked at once, is given the same token, and not a third one that would void the second.
"""

import base64
import binascii
import hashlib
import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reprise.errors import Unauthenticated

TTL = timedelta(days=60)
# For this long after a rotation the token before it is answered once more.
GRACE = timedelta(seconds=30)
SECRET_BYTES = 32
_SEAL_BYTES = 16
_TOKEN_BYTES = 16 + SECRET_BYTES + _SEAL_BYTES


class Verdict(StrEnum):
    """What a token does to its session."""

    ROTATE = "rotated"  # the one in use: the next one replaces it
    REPEAT = "repeated"  # the one before, in time: the same answer again
    END = "reused"  # an older one: somebody else may have it
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the database holds of a session."""

    digest: bytes
    previous_digest: bytes | None
    refreshed_at: datetime
    expires_at: datetime


def first(session_id: uuid.UUID, secret: bytes, key: bytes) -> str:
    """The token of a new session; `secret` is SECRET_BYTES of chance."""
    assert len(secret) == SECRET_BYTES
    return _sealed(session_id.bytes + secret, key)


def following(token: str, key: bytes) -> str:
    """The token that replaces `token`, which is one of ours."""
    return _sealed(_opened(token)[:16] + hmac.digest(key, b"next\0" + token.encode(), hashlib.sha256), key)


def session_of(token: str, key: bytes) -> uuid.UUID:
    """The session of a token that was once given out. Raises Unauthenticated for anything else."""
    body = _opened(token)[:-_SEAL_BYTES]
    if not hmac.compare_digest(_sealed(body, key), token):
        raise Unauthenticated("the refresh token is not of this mesh: log in again")
    return uuid.UUID(bytes=body[:16])


def digest_of(token: str) -> bytes:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode()).digest()


def judge(kept: Kept, token: str, now: datetime) -> Verdict:
    """What becomes of a session when `token`, which was once given out for it, comes back."""
    if now >= kept.expires_at:
        return Verdict.EXPIRED
    digest = digest_of(token)
    if digest == kept.digest:
        return Verdict.ROTATE
    if digest == kept.previous_digest and now - kept.refreshed_at < GRACE:
        return Verdict.REPEAT
    return Verdict.END


def _sealed(body: bytes, key: bytes) -> str:
    seal = hmac.digest(key, b"seal\0" + body, hashlib.sha256)[:_SEAL_BYTES]
    return base64.urlsafe_b64encode(body + seal).rstrip(b"=").decode()


def _opened(token: str) -> bytes:
    try:
        body = base64.urlsafe_b64decode(token.encode("ascii") + b"==")
    except (ValueError, binascii.Error):
        body = b""
    if len(body) != _TOKEN_BYTES:
        raise Unauthenticated("the refresh token is malformed: log in again")
    return body
