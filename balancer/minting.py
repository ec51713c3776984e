"""The grants that a balancer signs: for listeners, and for edges that fetch from each other. Pure but for what it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from reprise import grants
from reprise.grants import LISTEN_TTL_S, OPERATOR, Claims

RELAY_TTL_S = 3600
OPERATOR_TTL_S = 60
KEYS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Minted:
    """A signed grant and what the balancer remembers of it."""

    grant: str
    grant_id: str
    expires_unix_s: int


class Mint:
    """Signs with the key of the edge that will verify. `new_id` gives a fresh random grant id."""

    def __init__(self, issuer: str, mesh_key: bytes, unix_s: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._issuer = issuer
        self._unix_s = unix_s
        self._new_id = new_id
        self.key_of = lru_cache(maxsize=KEYS_KEPT)(lambda owner: grants.derive_key(mesh_key, owner))

    def listen(self, edge_id: str, session_id: str, song_id: str, rendition_id: str, bitrate_bps: int) -> Minted:
        """Lets a listener play one rendition of a song from `edge_id`."""
        return self._sign(
            Claims(
                scope="listen",
                issuer=self._issuer,
                audience=edge_id,
                subject=session_id,
                grant_id=self._new_id(),
                expires_unix_s=int(self._unix_s()) + LISTEN_TTL_S,
                song_id=song_id,
                rendition_ids=(rendition_id,),
                bitrate_bps=bitrate_bps,
            )
        )

    def relay(self, serving_edge_id: str, asking_edge_id: str) -> Minted:
        """Lets one edge fetch chunks from another."""
        return self._sign(
            Claims(
                scope="relay",
                issuer=self._issuer,
                audience=serving_edge_id,
                subject=asking_edge_id,
                grant_id=self._new_id(),
                expires_unix_s=int(self._unix_s()) + RELAY_TTL_S,
            )
        )

    def operator(self) -> str:
        """Lets this balancer itself ask another service for what operators may see."""
        claims = Claims(
            scope=OPERATOR,
            issuer=self._issuer,
            audience="mesh",
            subject=self._issuer,
            grant_id=self._new_id(),
            expires_unix_s=int(self._unix_s()) + OPERATOR_TTL_S,
        )
        return grants.mint(claims, OPERATOR, self.key_of(OPERATOR))

    def _sign(self, claims: Claims) -> Minted:
        grant = grants.mint(claims, claims.audience, self.key_of(claims.audience))
        return Minted(grant, claims.grant_id, claims.expires_unix_s)
