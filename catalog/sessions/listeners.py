"""Under whose name a call reads and saves resume points: an account by its session token, or an id that the client states.

Pure. The two kinds of names never meet: an account's begins with a sign that a stated one cannot have, so nobody comes to an
account's resume points by stating its id.
"""

import re
import uuid
from collections.abc import Callable

from reprise.errors import Forbidden, InvalidRequest, Unauthenticated
from reprise.session_tokens import Verifier

_STATED = re.compile(r"[A-Za-z0-9_-]{16,64}\Z")
_ACCOUNT = "@"


class Listeners:
    """Tells who listens. With `anonymous`, clients without a session may state an id that they made themselves."""

    def __init__(self, verifier: Verifier, unix_s: Callable[[], float], *, anonymous: bool) -> None:
        self._verifier = verifier
        self._unix_s = unix_s
        self._anonymous = anonymous

    def listener(self, token: str, stated_user_id: str) -> str:
        """The user id under which resume points are kept. Raises Unauthenticated, Forbidden or InvalidRequest."""
        if token:
            account_id = self._verifier.verify(token, self._unix_s()).account_id
            if stated_user_id not in ("", account_id):
                raise Forbidden("user_id is not the session's: leave it empty, the token says who listens")
            return f"{_ACCOUNT}{account_id}"
        if not self._anonymous:
            raise Unauthenticated("log in first: this catalog keeps resume points for sessions only")
        return check_stated(stated_user_id)


def check_stated(user_id: str) -> str:
    """A listener's own id; not repeated in the error, for it is as good as a password."""
    if not _STATED.match(user_id):
        raise InvalidRequest("user_id must be 16 to 64 of A-Z a-z 0-9 _ -")
    return user_id


def account_of(user_id: str) -> uuid.UUID | None:
    """The account whose user id this is; None for one that a client stated."""
    return uuid.UUID(user_id.removeprefix(_ACCOUNT)) if user_id.startswith(_ACCOUNT) else None
