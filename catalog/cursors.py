"""Page cursors: where a list goes on, signed, so that a client can neither forge a position nor use it for another list. Pure.

A cursor is base64url of a MAC (HMAC-SHA256, cut to 16 bytes) and the CBOR list of the position. The MAC also covers the scope:
the call and its parameters. Positions are sort keys, never offsets, so a page at any depth costs the same and nothing is
shown twice when songs are added between pages.
"""

import base64
import binascii
import hashlib
import hmac

import cbor2

from reprise.errors import InvalidRequest

CURSOR_CHARS_MAX = 2048
_MAC_BYTES = 16

Position = tuple[str | int, ...]


def seal(key: bytes, scope: tuple[str | int, ...], position: Position) -> str:
    """The cursor for `position` in the list that `scope` names."""
    body: bytes = cbor2.dumps(list(position))
    return base64.urlsafe_b64encode(_mac(key, scope, body) + body).rstrip(b"=").decode()


def unseal(key: bytes, scope: tuple[str | int, ...], cursor: str) -> Position:
    """The position in `cursor`; InvalidRequest when it is not one that `seal` made with this key and scope."""
    try:
        if len(cursor) > CURSOR_CHARS_MAX:
            raise ValueError("too long")
        sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, _mac(key, scope, body)):
            raise ValueError("wrong signature")
    except (ValueError, binascii.Error):
        raise InvalidRequest(
            f"cursor {cursor[:40]!r} is not from the previous page of this list: leave it out to start again"
        ) from None
    # What carries our MAC is what we encoded.
    return tuple(cbor2.loads(body))


def _mac(key: bytes, scope: tuple[str | int, ...], body: bytes) -> bytes:
    return hmac.digest(key, cbor2.dumps([list(scope), body]), hashlib.sha256)[:_MAC_BYTES]
