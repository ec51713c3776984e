"""Who may publish and see what is not out yet: operators, and services that sign as one. Pure."""

from collections.abc import Callable

from reprise import grants
from reprise.grants import OPERATOR


class Operators:
    """Verifies operators' tokens.

    Holds the operator's key alone, not the mesh key: no token of an edge can be valid here.
    """

    def __init__(self, operator_key: bytes, unix_s: Callable[[], float]) -> None:
        self._operator_key = operator_key
        self._unix_s = unix_s

    def check(self, token: str) -> None:
        """Raises Unauthenticated or Forbidden unless an operator signed."""
        grants.verify(token, self._key_of, self._unix_s(), audience="mesh", scope=OPERATOR)

    def _key_of(self, kid: str) -> bytes | None:
        return self._operator_key if kid == OPERATOR else None
