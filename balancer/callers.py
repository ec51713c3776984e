"""Who calls: edges by their own token, operators by theirs."""

from collections.abc import Callable

from reprise import grants
from reprise.grants import OPERATOR


class Callers:
    """Verifies the tokens of services; `key_of` derives the key of any owner."""

    def __init__(self, key_of: Callable[[str], bytes], unix_s: Callable[[], float]) -> None:
        self._key_of = key_of
        self._unix_s = unix_s

    def edge(self, token: str) -> str:
        """The id of the edge that signed a report token; raises Unauthenticated or Forbidden."""
        return grants.verify(token, self._key_of, self._unix_s(), audience="balancer", scope="report").subject

    def check_operator(self, token: str) -> None:
        """Raises Unauthenticated or Forbidden unless an operator signed."""
        grants.verify(token, self._key_of, self._unix_s(), audience="mesh", scope=OPERATOR)
