"""What is learned of networks stays within what was reported, and within its network."""

from hypothesis import given
from hypothesis import strategies as st

from balancer.geography.networks import HEARD_TTL_S, VOICES_MAX, VOICES_MIN, Networks

HOME, OTHER = 1, 2


def networks(**options: int) -> Networks:
    return Networks(lambda: None, **options)


def teach(learned: Networks, network: int, rtt_ms: float, now: float = 0.0, region: str = "eu") -> None:
    """Enough households say the same."""
    for household in range(VOICES_MIN):
        learned.learn(network, household, region, rtt_ms, now)


REPORTS = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(["eu", "us"]), st.floats(0.1, 2000), st.floats(0, 900)), max_size=60
)


@given(REPORTS)
def test_a_figure_lies_within_what_was_reported(reports: list[tuple[int, str, float, float]]) -> None:
    learned, now = networks(), 0.0
    for household, region, rtt_ms, pause in reports:
        now += pause
        learned.learn(HOME, household, region, rtt_ms, now)
        for seen, figure in learned.of(HOME, now).items():
            said = [ms for _, where, ms, _ in reports if where == seen]
            assert min(said) - 1e-6 <= figure <= max(said) + 1e-6


@given(st.lists(st.floats(0.1, 2000), min_size=1, max_size=40), st.integers(VOICES_MIN - 1, VOICES_MAX - 1))
def test_one_liar_cannot_move_its_network_beyond_the_honest(lies: list[float], honest: int) -> None:
    learned = networks()
    for now, lie in enumerate(lies):
        for household in range(honest):
            learned.learn(HOME, household, "eu", 20.0 + household, float(now))
        learned.learn(HOME, 99, "eu", lie, float(now))
    assert 20.0 <= learned.of(HOME, float(len(lies)))["eu"] <= 20.0 + honest


@given(REPORTS)
def test_nobody_moves_another_network(reports: list[tuple[int, str, float, float]]) -> None:
    learned = networks()
    teach(learned, OTHER, 12.0)
    for household, region, rtt_ms, _ in reports:
        learned.learn(HOME, household, region, rtt_ms, 1.0)
    assert learned.of(OTHER, 1.0) == {"eu": 12.0}


def test_a_network_says_nothing_before_three_households_spoke() -> None:
    learned = networks()
    for _ in range(10):
        learned.learn(HOME, 1, "eu", 20.0, 0.0)
        learned.learn(HOME, 2, "eu", 20.0, 0.0)
    assert learned.of(HOME, 0.0) == {}
    learned.learn(HOME, 3, "eu", 20.0, 0.0)
    assert learned.of(HOME, 0.0) == {"eu": 20.0}


def test_the_households_heard_last_speak_for_the_network() -> None:
    learned = networks()
    for household in range(3 * VOICES_MAX):
        learned.learn(HOME, household, "eu", 20.0 if household < 2 * VOICES_MAX else 100.0, 0.0)
    assert learned.of(HOME, 0.0) == {"eu": 100.0}


def test_reports_of_a_household_are_smoothed_and_the_path_of_today_wins() -> None:
    learned = networks()
    teach(learned, HOME, 20.0)
    teach(learned, HOME, 120.0)
    assert learned.of(HOME, 0.0) == {"eu": 50.0}
    for _ in range(20):
        teach(learned, HOME, 120.0)
    assert learned.of(HOME, 0.0)["eu"] > 119


def test_what_nobody_repeats_for_an_hour_is_forgotten() -> None:
    learned = networks()
    teach(learned, HOME, 20.0, now=0.0)
    teach(learned, HOME, 90.0, now=60.0, region="us")
    assert learned.of(HOME, HEARD_TTL_S - 1) == {"eu": 20.0, "us": 90.0}
    assert learned.of(HOME, HEARD_TTL_S) == {"us": 90.0}
    learned.learn(HOME, 0, "eu", 200.0, HEARD_TTL_S + 1)
    assert learned.of(HOME, HEARD_TTL_S + 1) == {"us": 90.0}, "one voice of today and two of an hour ago are one voice"
    learned.learn(OTHER, 0, "eu", 20.0, 3 * HEARD_TTL_S)
    assert len(learned) == 1


def test_the_networks_taught_longest_ago_make_room() -> None:
    forgotten: list[None] = []
    learned = Networks(lambda: forgotten.append(None), networks_max=3)
    for network in range(3):
        teach(learned, network, 20.0)
    teach(learned, 0, 30.0)
    teach(learned, 3, 20.0)
    assert [bool(learned.of(network, 0.0)) for network in range(4)] == [True, False, True, True]
    assert (len(learned), len(forgotten)) == (3, 1)
