"""The edge's own tokens, signed with its own key: how it tells an origin or a balancer who it is."""

import secrets
import time

from reprise import grants

TTL_S = 3600


class TokenMinter:
    """Mints a token per (audience, scope) and re-mints it at 70 % of its life."""

    def __init__(self, edge_id: str, key: bytes) -> None:
        self._edge_id = edge_id
        self._key = key
        self._minted: dict[tuple[str, str], tuple[float, str]] = {}

    def token(self, audience: str, scope: str) -> str:
        """A token that is valid for at least a quarter of an hour."""
        now = time.time()
        known = self._minted.get((audience, scope))
        if known is not None and known[0] > now:
            return known[1]
        claims = grants.Claims(
            scope=scope,
            issuer=self._edge_id,
            audience=audience,
            subject=self._edge_id,
            grant_id=secrets.token_urlsafe(9),
            expires_unix_s=int(now) + TTL_S,
        )
        token = grants.mint(claims, self._edge_id, self._key)
        self._minted[audience, scope] = (now + 0.7 * TTL_S, token)
        return token
