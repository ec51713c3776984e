"""Refresh tokens: whatever clients, lost answers and thieves do, one token is in use, and a stolen one is noticed."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from catalog.sessions.refresh_tokens import (
    GRACE,
    SECRET_BYTES,
    TTL,
    Kept,
    Verdict,
    digest_of,
    first,
    following,
    judge,
    session_of,
)
from reprise.errors import Unauthenticated

KEY = b"k" * 32
SESSION = uuid.UUID(int=7)
TOKEN = first(SESSION, b"s" * SECRET_BYTES, KEY)
START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_token_names_its_session_and_so_do_all_that_follow() -> None:
    second = following(TOKEN, KEY)
    assert session_of(TOKEN, KEY) == session_of(second, KEY) == session_of(following(second, KEY), KEY) == SESSION
    assert len({TOKEN, second, following(second, KEY)}) == 3
    assert following(TOKEN, KEY) == second


def test_without_the_key_nobody_knows_what_follows() -> None:
    assert following(TOKEN, b"x" * 32) != following(TOKEN, KEY)
    with pytest.raises(Unauthenticated):
        session_of(following(TOKEN, b"x" * 32), KEY)


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="utf-8"))
def test_a_changed_token_is_not_ours(at: int, character: str) -> None:
    changed = TOKEN[:at] + character + TOKEN[at + 1 :]
    if changed != TOKEN:
        with pytest.raises(Unauthenticated):
            session_of(changed, KEY)


@given(st.text(max_size=200))
def test_any_text_is_not_ours_and_not_repeated(text: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        session_of(text, KEY)
    assert len(text) < 8 or text not in refused.value.message


class Session(RuleBasedStateMachine):
    """A session's row under honest refreshes, repeated and late ones, against what each token should do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.kept: Kept | None = Kept(digest_of(TOKEN), None, START, START + TTL)
        # Every token that was given out, oldest first.
        self.given = [TOKEN]

    @rule(passed_s=st.one_of(st.integers(0, 40), st.integers(0, 100 * 86_400)))
    def wait(self, passed_s: int) -> None:
        self.now += timedelta(seconds=passed_s)

    @rule(age=st.integers(0, 3))
    def present(self, age: int) -> None:
        """The token in use (0), the one before it (1), or an older one comes back."""
        if self.kept is None or age >= len(self.given):
            return
        token = self.given[-1 - age]
        verdict = judge(self.kept, token, self.now)
        in_time = self.now - self.kept.refreshed_at < GRACE
        if self.now >= self.kept.expires_at:
            assert verdict is Verdict.EXPIRED
        elif age == 0:
            assert verdict is Verdict.ROTATE
        else:
            assert verdict is (Verdict.REPEAT if age == 1 and in_time else Verdict.END)
        self._apply(verdict, token)

    def _apply(self, verdict: Verdict, token: str) -> None:
        assert self.kept is not None
        if verdict is Verdict.ROTATE:
            self.given.append(following(token, KEY))
            self.kept = Kept(digest_of(self.given[-1]), digest_of(token), self.now, self.now + TTL)
        elif verdict is Verdict.REPEAT:
            assert following(token, KEY) == self.given[-1], "the same answer again"
        else:
            self.kept = None

    @invariant()
    def the_last_token_given_is_the_one_in_use(self) -> None:
        assert self.kept is None or self.kept.digest == digest_of(self.given[-1])

    @invariant()
    def no_two_tokens_are_equal(self) -> None:
        assert len(set(self.given)) == len(self.given)


Session.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestSession = Session.TestCase


def test_a_clock_that_stands_behind_the_last_refresh_repeats_too() -> None:
    kept = Kept(digest_of(following(TOKEN, KEY)), digest_of(TOKEN), START, START + TTL)
    assert judge(kept, TOKEN, START - timedelta(seconds=5)) is Verdict.REPEAT
    assert judge(replace(kept, previous_digest=None), TOKEN, START) is Verdict.END
