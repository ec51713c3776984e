"""Failed logins slow down: never before the budget is used, always after, and for nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.sessions.attempts import ADDRESSES, NAMES, NEW_LISTENERS, Attempts, Budget, LoginGuard
from reprise.errors import QuotaExceeded

BUDGET = Budget(free=3, pause_s=1.0, pause_s_max=8.0, forget_s=100.0)
HERE, THERE = "192.0.2.1", "198.51.100.9"


def fail(guard: LoginGuard, name: str, address: str, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        guard.begin(name, address, now)


def test_pauses_begin_when_the_budget_is_used_and_double_up_to_the_longest() -> None:
    attempts, now, pauses = Attempts(BUDGET), 0.0, []
    for _ in range(9):
        attempts.charge("ada", now)
        pauses.append(attempts.pause_s("ada", now))
        now += pauses[-1]
        assert attempts.pause_s("ada", now) == 0
    assert pauses == [0, 0, 0, 1, 2, 4, 8, 8, 8]


def test_a_quiet_time_forgets_and_a_success_forgives() -> None:
    attempts = Attempts(BUDGET)
    for _ in range(5):
        attempts.charge("ada", 0.0)
    assert attempts.pause_s("ada", BUDGET.forget_s) == 0
    assert len(attempts) == 0
    for _ in range(5):
        attempts.charge("ada", 0.0)
    attempts.forgive("ada")
    assert attempts.pause_s("ada", 0.0) == 0


def test_of_too_many_keys_the_one_that_was_silent_longest_is_forgotten() -> None:
    attempts = Attempts(Budget(0, 10.0, 10.0), keys_max=2)
    for key in ("a", "b"):
        attempts.charge(key, 0.0)
    assert attempts.pause_s("a", 0.0) == 10
    attempts.charge("c", 0.0)
    assert [attempts.pause_s(key, 0.0) for key in ("a", "b", "c")] == [10, 0, 10]


@given(st.lists(st.tuples(st.sampled_from(["fail", "succeed"]), st.floats(0, 20)), max_size=60))
def test_whatever_happens_at_most_the_budget_fails_without_a_pause(events: list[tuple[str, float]]) -> None:
    attempts, now = Attempts(BUDGET), 0.0
    last_failures: list[float] = []
    for event, passed_s in events:
        now += passed_s
        if attempts.pause_s("ada", now) > 0:
            continue
        attempts.charge("ada", now)
        if event == "succeed":
            attempts.forgive("ada")
            last_failures.clear()
        else:
            last_failures.append(now)
            recent = [at for at in last_failures if now - at < BUDGET.pause_s]
            assert len(recent) <= BUDGET.free + 1
        assert attempts.pause_s("ada", now) <= BUDGET.pause_s_max


def test_attempts_at_the_same_moment_get_no_further_than_one_after_the_other() -> None:
    guard = LoginGuard()
    fail(guard, "ada", HERE, NAMES.free + 1)
    with pytest.raises(QuotaExceeded, match="wait 1 s") as refused:
        guard.begin("ada", THERE, 0.0)
    assert refused.value.retry_after_s == 1
    guard.begin("bob", THERE, 0.0)


def test_an_address_that_tries_many_names_is_slowed_down_whatever_succeeds_in_between() -> None:
    guard = LoginGuard()
    for number in range(ADDRESSES.free):
        guard.begin(f"name-{number}", HERE, 0.0)
        guard.begin("own", HERE, 0.0)
        guard.succeeded("own", HERE)
    guard.begin("last", HERE, 0.0)
    with pytest.raises(QuotaExceeded):
        guard.begin("another", HERE, 0.0)
    guard.begin("another", THERE, 0.0)


def test_who_is_refused_is_not_charged_for_it() -> None:
    guard = LoginGuard()
    fail(guard, "ada", HERE, NAMES.free + 1)
    for _ in range(20):
        with pytest.raises(QuotaExceeded):
            guard.begin("ada", HERE, 0.5)
    guard.begin("ada", HERE, 1.0)


def test_a_household_cannot_speak_with_many_voices() -> None:
    guard = LoginGuard()
    for number in range(ADDRESSES.free + 1):
        guard.begin(f"name-{number}", f"2001:db8::{number + 1:x}", 0.0)
    with pytest.raises(QuotaExceeded):
        guard.begin("another", "2001:db8::ffff", 0.0)
    guard.begin("another", "2001:db8:0:1::1", 0.0)


def test_new_listeners_of_one_address_have_a_budget_too() -> None:
    guard = LoginGuard()
    for _ in range(NEW_LISTENERS.free + 1):
        guard.begin_listener(HERE, 0.0)
    with pytest.raises(QuotaExceeded):
        guard.begin_listener(HERE, 0.0)
    guard.begin_listener(THERE, 0.0)
