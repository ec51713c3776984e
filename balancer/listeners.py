"""Whether a listener may be routed, and under which session its plays count. Pure.

Where sessions are required, the token's session counts and whatever the listener states does not. Where they are not, anybody
is routed under what is stated, and no token is looked at.
"""

from collections.abc import Callable
from typing import Any

from reprise.errors import Unauthenticated
from reprise.http_message import Request
from reprise.session_tokens import Verifier

_SCHEME = "bearer "


class Listeners:
    """Knows sessions by their tokens. Without a `verifier` none is required."""

    def __init__(self, verifier: Verifier | None, unix_s: Callable[[], float]) -> None:
        self._verifier = verifier
        self._unix_s = unix_s

    def of_call(self, context: Any, stated: str = "") -> str:
        """The session of an RPC's caller. Raises Unauthenticated."""
        # Metadata is made anew for whoever asks: where it does not matter nobody does.
        if self._verifier is None:
            return stated
        values = (value for key, value in context.invocation_metadata() or () if key == "authorization")
        return self._session(self._verifier, str(next(values, "")))

    def of_request(self, request: Request, stated: str = "") -> str:
        """Likewise of an HTTP request, by its header: links carry no token, for they are kept and shown."""
        if self._verifier is None:
            return stated
        return self._session(self._verifier, request.headers.get("authorization", ""))

    def _session(self, verifier: Verifier, authorization: str) -> str:
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated("this mesh plays for sessions only: log in at the catalog, and send the token")
        return verifier.verify(authorization[len(_SCHEME) :].strip(), self._unix_s()).session_id
