"""Who is written to and who is read, for every state that servers can be in."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.database import standings
from catalog.database.positions import Position
from catalog.database.standings import Role, Standing

PRIMARY = Standing("eu", Role.PRIMARY, Position(1, 100), round_trip_s=0.001)
STANDBY = Standing("us", Role.STANDBY, Position(1, 90), round_trip_s=0.001)
PROMOTED = Standing("us", Role.PRIMARY, Position(2, 120), round_trip_s=0.001)
GONE = replace(PRIMARY, missing="unreachable")
NEW = Standing("")
ANY = st.builds(
    Standing,
    st.sampled_from(["eu", "us"]),
    st.sampled_from(list(Role)),
    st.builds(Position, st.integers(1, 3), st.integers(0, 5)),
    st.sampled_from([0.0, 3.0, inf]),
    st.sampled_from([0.0, 0.001, 0.1]),
    st.sampled_from(["", "timeout"]),
)
SOME = st.lists(ANY, min_size=1, max_size=4)


def near(servers: list[Standing], region: str = "us") -> list[int]:
    return standings.nearest_first(servers, region, 5)


def test_the_first_server_is_taken_for_the_primary_until_somebody_looked() -> None:
    assert standings.writer([NEW, NEW], None) == 0
    assert near([NEW, NEW]) == [0, 1]


def test_a_primary_that_was_replaced_is_neither_written_to_nor_read() -> None:
    servers = [PRIMARY, PROMOTED]
    assert standings.writer(servers, 0) == 1
    assert near(servers, "eu") == [1]
    assert standings.last_resorts(servers) == [1]


def test_a_replaced_primary_is_fenced_by_a_standby_that_follows_its_successor() -> None:
    assert standings.writer([PRIMARY, replace(STANDBY, position=Position(2, 130))], 0) is None


def test_a_primary_that_does_not_answer_is_tried_unless_it_was_replaced() -> None:
    assert standings.writer([STANDBY, GONE], 1) == 1
    assert standings.writer([PROMOTED, GONE], 1) == 0


def test_of_two_primaries_of_one_timeline_the_current_one_stays() -> None:
    assert standings.writer([PROMOTED, PROMOTED], 1) == 1


def test_there_is_no_writer_among_standbys() -> None:
    assert standings.writer([STANDBY, STANDBY], 0) is None


def test_reads_go_to_the_own_region_then_to_the_next_nearest() -> None:
    far = replace(STANDBY, region="asia", round_trip_s=0.2)
    assert near([PRIMARY, far, STANDBY]) == [2, 0, 1]
    assert near([PRIMARY, far, STANDBY], "asia") == [1, 2, 0]


def test_at_one_distance_standbys_spare_the_primary() -> None:
    assert near([PRIMARY, STANDBY], "") == [1, 0]


def test_a_standby_that_lags_or_does_not_answer_is_not_near() -> None:
    assert near([PRIMARY, replace(STANDBY, lag_s=6), replace(STANDBY, missing="timeout")]) == [0]


@pytest.mark.parametrize(
    ("standing", "at_least", "seen"),
    [
        (STANDBY, Position(1, 90), True),
        (STANDBY, Position(1, 91), False),
        # The old timeline may have ended before 80: only the primary knows what was left of it.
        (replace(STANDBY, position=Position(2, 90)), Position(1, 80), False),
        (STANDBY, Position(2, 80), False),
        (PRIMARY, Position(1, 500), True),
        (PROMOTED, Position(1, 500), True),
        (PRIMARY, Position(2, 50), False),
        (STANDBY, None, True),
    ],
)
def test_who_has_seen_a_position(standing: Standing, at_least: Position | None, seen: bool) -> None:
    assert standings.has_seen(standing, at_least) is seen


def test_waiting_helps_with_a_standby_on_the_same_timeline_only() -> None:
    assert standings.may_see_soon(STANDBY, Position(1, 91))
    assert not standings.may_see_soon(STANDBY, Position(1, 90))
    assert not standings.may_see_soon(STANDBY, Position(2, 91))
    assert not standings.may_see_soon(PRIMARY, Position(2, 91))


def test_the_last_resort_is_the_freshest_that_answers() -> None:
    fresher = replace(STANDBY, position=Position(1, 95), lag_s=inf)
    assert standings.last_resorts([GONE, STANDBY, fresher]) == [2, 1, 0]


@given(SOME, st.none() | st.integers(0, 3))
def test_no_write_goes_to_a_standby_or_to_an_older_timeline(servers: list[Standing], current: int | None) -> None:
    chosen = standings.writer(servers, current)
    if chosen is not None and servers[chosen].role is not Role.UNKNOWN:
        assert servers[chosen].role is Role.PRIMARY
        assert servers[chosen].position.timeline == standings.newest_timeline(servers)


@given(SOME)
def test_every_server_is_read_at_most_once_and_the_fenced_never(servers: list[Standing]) -> None:
    newest = standings.newest_timeline(servers)
    allowed = {i for i, one in enumerate(servers) if not standings.is_fenced(one, newest)}
    resorts = standings.last_resorts(servers)
    assert sorted(resorts) == sorted(allowed)
    assert set(near(servers)) <= allowed
