"""Grants and tokens: short-lived signed permissions, as CWT (RFC 8392) in the layout of CTA-5007 (CAT). Pure.

A grant is a COSE_Mac0 (RFC 9052, 6.2) with HS256 under a key *of its verifier*: `derive_key(mesh_key, owner)`. A balancer,
which holds the mesh key, mints one grant per candidate edge; an edge can verify grants for itself and forge none for others.
The same shape carries service tokens: an edge signs with its own key to identify itself to a balancer or an origin.

On the wire it is unpadded base64url, so that it fits a URL path and a metadata value. Encoded here with cbor2 and the
standard library's HMAC (docs/decisions/grant-envelope.md); a test checks that the `cwt` library accepts our tokens and the
other way round.
"""

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from reprise.errors import Forbidden, Unauthenticated

# Registered CWT claims, CTA-5007 `catu`, RFC 9200 `scope`, and two of our own in the private range.
_ISS, _SUB, _AUD, _EXP, _NBF, _CTI, _SCOPE, _CATU = 1, 2, 3, 4, 5, 7, 9, 312
_RENDITIONS, _BITRATE = -70001, -70002
_CATU_PATH, _CATU_PREFIX = 3, 1
_ALG, _KID, _HS256 = 1, 4, 5
_MAC0_TAG, _CWT_TAG = 17, 61

_MAP = 0xA0
_SUB_KEY, _AUD_KEY, _EXP_KEY, _CTI_KEY = (cbor2.dumps(claim) for claim in (_SUB, _AUD, _EXP, _CTI))
# What stands before byte and text strings by their length (RFC 8949, 3.1). The library takes 5 µs for each call, whatever it
# encodes: that was a third of a route.
_SHORT = 256
_BYTE_HEADS = [cbor2.dumps(bytes(size))[: -size or None] for size in range(_SHORT)]
_TEXT_HEADS = [cbor2.dumps("x" * size)[: -size or None] for size in range(_SHORT)]
_PROTECTED = cbor2.dumps({_ALG: _HS256})
_EMPTY = cbor2.dumps(b"")
# Of a tagged array of four, up to the key's id; and of the array of four that is signed.
_MAC0_HEAD = b"\xd1\x84" + cbor2.dumps(_PROTECTED)
_KID_HEAD = b"\xa1" + cbor2.dumps(_KID)
_MAC_STRUCTURE_HEAD = b"\x84" + cbor2.dumps("MAC0")

LISTEN_TTL_S = 600
# The owner of the operators' key, and the scope that only this key signs.
OPERATOR = "operator"
_SIGNED_FOR_AUDIENCE = ("listen", "relay")
GRANT_BYTES_MAX = 1024
CLOCK_LEEWAY_S = 60


@dataclass(frozen=True, slots=True)
class Claims:
    """What a grant allows. `scope` is one of listen, relay, origin, report, operator."""

    scope: str
    issuer: str
    audience: str
    subject: str
    grant_id: str
    expires_unix_s: int
    not_before_unix_s: int = 0
    song_id: str = ""
    rendition_ids: tuple[str, ...] = ()
    bitrate_bps: int = 0


def derive_key(mesh_key: bytes, owner: str, key_epoch: int = 0) -> bytes:
    """The 32-byte key of one verifier (HKDF-SHA256, RFC 5869); `owner` is an edge id or "operator"."""
    info = b"reprise-grant-v1\0" + owner.encode() + b"\0%d" % key_epoch
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(mesh_key)


def mint(claims: Claims, kid: str, key: bytes) -> str:
    """The grant as base64url text, signed with `key`, which `kid` names to the verifier."""
    count, lasting = _lasting(
        claims.issuer,
        claims.scope,
        claims.not_before_unix_s,
        claims.song_id,
        claims.rendition_ids,
        claims.bitrate_bps,
    )
    payload = b"".join(
        (
            bytes((_MAP | count + 4,)),
            lasting,
            _SUB_KEY,
            _text_string(claims.subject),
            _AUD_KEY,
            _text_string(claims.audience),
            _EXP_KEY,
            _number(claims.expires_unix_s),
            _CTI_KEY,
            _byte_string(claims.grant_id.encode()),
        )
    )
    signature = _mac(key, _PROTECTED, payload)
    message = b"".join(
        (_MAC0_HEAD, _KID_HEAD, _byte_string(kid.encode()), _byte_string(payload), _byte_string(signature))
    )
    return base64.urlsafe_b64encode(message).rstrip(b"=").decode()


@lru_cache(maxsize=10_000)
def _lasting(
    issuer: str, scope: str, not_before_unix_s: int, song_id: str, rendition_ids: tuple[str, ...], bitrate_bps: int
) -> tuple[int, bytes]:
    """What many grants have in common: how many claims, and all of them encoded."""
    body: dict[int, object] = {_ISS: issuer, _SCOPE: scope}
    if not_before_unix_s:
        body[_NBF] = not_before_unix_s
    if song_id:
        body[_CATU] = {_CATU_PATH: {_CATU_PREFIX: f"/{song_id}/"}}
    if rendition_ids:
        body[_RENDITIONS] = [bytes.fromhex(r) for r in rendition_ids]
    if bitrate_bps:
        body[_BITRATE] = bitrate_bps
    # A map of so few has a head of one byte.
    return len(body), cbor2.dumps(body)[1:]


def verify(
    grant: str, key_of: Callable[[str], bytes | None], now_unix_s: float, *, audience: str | None, scope: str
) -> Claims:
    """The claims of a grant that is ours, unexpired, for `audience` (None: whoever it is for) and `scope`.

    `key_of` answers the key for a kid, or None. Raises Unauthenticated (missing, malformed, wrong signature, expired,
    another audience, signed by another than its scope demands) or Forbidden (another scope).
    """
    kid, claims = _open(grant, key_of)
    if kid != _signer(claims):
        raise Unauthenticated(f"a grant with scope {claims.scope[:20]!r} must not be signed by {kid[:64]!r}")
    if audience is not None and claims.audience != audience:
        raise Unauthenticated(f"this grant is for {claims.audience!r}, not for {audience!r}")
    if claims.expires_unix_s + CLOCK_LEEWAY_S <= now_unix_s:
        late = int(now_unix_s - claims.expires_unix_s)
        raise Unauthenticated(f"this grant expired {late} s ago: ask the balancer for a new route")
    if claims.not_before_unix_s - CLOCK_LEEWAY_S > now_unix_s:
        raise Unauthenticated("this grant is not valid yet: check the clocks of balancer and edge")
    if claims.scope != scope:
        raise Forbidden(f"this needs a grant with scope {scope!r}, this one has {claims.scope!r}")
    return claims


def allows(claims: Claims, song_id: str, rendition_id: str) -> bool:
    """Whether a listen grant covers this rendition of this song."""
    return claims.song_id == song_id and rendition_id in claims.rendition_ids


def _mac(key: bytes, protected: bytes, payload: bytes) -> bytes:
    """Over ["MAC0", protected, external data: none, payload] (RFC 9052, 6.3)."""
    signed = (_MAC_STRUCTURE_HEAD, _byte_string(protected), _EMPTY, _byte_string(payload))
    return hmac.digest(key, b"".join(signed), "sha256")


def _byte_string(data: bytes) -> bytes:
    size = len(data)
    return (_BYTE_HEADS[size] if size < _SHORT else _long_head(0x40, size)) + data


def _text_string(text: str) -> bytes:
    data = text.encode()
    size = len(data)
    return (_TEXT_HEADS[size] if size < _SHORT else _long_head(0x60, size)) + data


def _long_head(kind: int, size: int) -> bytes:
    """Of 256 bytes to 64 KiB."""
    return bytes((kind | 25,)) + size.to_bytes(2, "big")


# Whoever mints in the same second means the same moment.
_number = lru_cache(maxsize=64)(cbor2.dumps)


def _signer(claims: Claims) -> str:
    """Whose key must have signed: a service that can derive every key would else let each holder of one speak for all."""
    if claims.scope == OPERATOR:
        return OPERATOR
    return claims.audience if claims.scope in _SIGNED_FOR_AUDIENCE else claims.subject


def _open(grant: str, key_of: Callable[[str], bytes | None]) -> tuple[str, Claims]:
    if not grant:
        raise Unauthenticated("a grant is missing: ask the balancer for a route")
    if len(grant) > GRANT_BYTES_MAX:
        raise Unauthenticated(f"a grant has at most {GRANT_BYTES_MAX} characters, this one {len(grant)}")
    try:
        message = cbor2.loads(base64.b64decode(grant + "=" * (-len(grant) % 4), altchars=b"-_", validate=True))
        if isinstance(message, cbor2.CBORTag) and message.tag == _CWT_TAG:
            message = message.value
        if not isinstance(message, cbor2.CBORTag) or message.tag != _MAC0_TAG:
            raise ValueError("not a COSE_Mac0")
        protected, unprotected, payload, tag = message.value
        algorithm = cbor2.loads(protected)[_ALG]
        kid = unprotected[_KID].decode()
        key = key_of(kid)
        if key is None or algorithm != _HS256 or not hmac.compare_digest(tag, _mac(key, protected, payload)):
            raise Unauthenticated("this grant's signature is not valid here")
        return kid, _claims(cbor2.loads(payload))
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError, cbor2.CBORError):
        raise Unauthenticated("this is not a grant: it is malformed") from None


def _claims(body: dict[int, object]) -> Claims:
    song_id = ""
    if _CATU in body:
        song_id = body[_CATU][_CATU_PATH][_CATU_PREFIX].strip("/")  # type: ignore[index]
    return Claims(
        scope=_text(body[_SCOPE]),
        issuer=_text(body[_ISS]),
        audience=_text(body[_AUD]),
        subject=_text(body[_SUB]),
        grant_id=body[_CTI].decode(),  # type: ignore[attr-defined]
        expires_unix_s=_whole(body[_EXP]),
        not_before_unix_s=_whole(body.get(_NBF, 0)),
        song_id=song_id,
        rendition_ids=tuple(r.hex() for r in body.get(_RENDITIONS, ())),  # type: ignore[attr-defined]
        bitrate_bps=_whole(body.get(_BITRATE, 0)),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("integer expected")
    return value
