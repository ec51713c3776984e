"""Who listens: the token's account, else the id that a client states, and never the one by way of the other."""

import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from catalog.sessions.listeners import Listeners, account_of
from reprise.errors import Forbidden, InvalidRequest, Unauthenticated
from reprise.manifests import key_id_of
from reprise.session_tokens import SessionClaims, Verifier, mint

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
NOW = 1_800_000_000
ACCOUNT = str(uuid.UUID(int=7))
TOKEN = mint(SessionClaims(ACCOUNT, "session", "phone", NOW, NOW + 900), KEY)


def listeners(*, anonymous: bool = True, now: int = NOW) -> Listeners:
    return Listeners(Verifier({key_id_of(KEY.public_key()): KEY.public_key()}), lambda: now, anonymous=anonymous)


def test_a_session_names_its_account() -> None:
    user_id = listeners().listener(TOKEN, "")
    assert account_of(user_id) == uuid.UUID(ACCOUNT)
    assert listeners(anonymous=False).listener(TOKEN, ACCOUNT) == user_id


def test_a_session_does_not_speak_for_another_listener() -> None:
    with pytest.raises(Forbidden):
        listeners().listener(TOKEN, "listener-0123456789")


def test_stating_the_id_of_an_account_does_not_lead_to_its_resume_points() -> None:
    assert listeners().listener("", ACCOUNT) != listeners().listener(TOKEN, "")
    with pytest.raises(InvalidRequest):
        listeners().listener("", listeners().listener(TOKEN, ""))


def test_a_stated_id_counts_only_where_anonymous_listeners_are_allowed() -> None:
    assert listeners().listener("", "listener-0123456789") == "listener-0123456789"
    assert account_of("listener-0123456789") is None
    with pytest.raises(Unauthenticated, match="log in"):
        listeners(anonymous=False).listener("", "listener-0123456789")


@pytest.mark.parametrize("user_id", ["", "short", "with space 0123456789", "x" * 65])
def test_a_malformed_id_is_refused_and_not_repeated(user_id: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        listeners().listener("", user_id)
    assert not user_id or user_id not in refused.value.message


def test_a_token_that_is_not_valid_is_no_reason_to_take_the_stated_id() -> None:
    with pytest.raises(Unauthenticated):
        listeners(now=NOW + 3600).listener(TOKEN, "listener-0123456789")
