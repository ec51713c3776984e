"""Which save counts: whatever the order in which saves of several devices arrive, and however often."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.resuming.resume import Kind, Outcome, Point, Pointer, Save, State, decide, knowing

DEVICES = ("phone", "car", "desk")


def save(
    device: str, epoch: int, sequence: int, *, base: int = 0, late: bool = False, kind: Kind = Kind.ACTION
) -> Save:
    return Save(Point("song", device, 1000 * epoch + sequence, False, epoch, sequence), kind, base, late)


saves = st.builds(
    lambda device, epoch, sequence, base, late, kind: save(device, epoch, sequence, base=base, late=late, kind=kind),
    st.sampled_from(DEVICES),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 9),
    st.booleans(),
    st.sampled_from(Kind),
)


@given(st.lists(saves))
def test_a_device_never_gets_older_and_the_revision_never_goes_down(offered: list[Save]) -> None:
    state = State()
    for one in offered:
        after, outcome = state.after(one)
        device = one.point.device_id
        assert set(after.points) >= set(state.points)
        for name, point in state.points.items():
            assert after.points[name].place >= point.place
            assert name == device or after.points[name] == point
        was, now = state.pointer or Pointer("", 0), after.pointer or Pointer("", 0)
        assert now.revision - was.revision in (0, 1)
        # Another device gets the pointer by an action only, or because there was none.
        if now.device_id != was.device_id:
            assert now.device_id == device
            assert (one.kind is Kind.ACTION and now.revision == was.revision + 1) or state.pointer is None
        if outcome in (Outcome.RESENT, Outcome.STALE):
            assert after == state
        state = after


@given(st.lists(saves, min_size=1), st.data())
def test_the_same_save_again_changes_nothing(offered: list[Save], data: st.DataObject) -> None:
    state = State()
    for one in offered:
        state, _ = state.after(one)
    again = data.draw(st.sampled_from(offered))
    after, outcome = state.after(again)
    assert outcome in (Outcome.RESENT, Outcome.STALE)
    assert after == state


@given(st.lists(saves, min_size=1), st.randoms())
def test_any_order_of_arrival_keeps_each_devices_greatest(offered: list[Save], random: Random) -> None:
    greatest = {device: [s.point.place for s in offered if s.point.device_id == device] for device in DEVICES}
    random.shuffle(offered)
    state = State()
    for one in offered:
        state, _ = state.after(one)
    assert {name: point.place for name, point in state.points.items()} == {
        name: max(places) for name, places in greatest.items() if places
    }


spooled = st.lists(st.tuples(st.sampled_from(DEVICES), st.sampled_from(["one", "two"]), st.booleans()), max_size=8)


@given(spooled, st.randoms(), st.integers(1, 3))
def test_two_spools_replayed_in_any_order_lose_nothing_and_pass_no_newer_action(
    acted: Sequence[tuple[str, str, bool]],
    random: Random,
    passes: int,
) -> None:
    """Devices act while both catalogs are cut off, some again when the database is back, before the spools are replayed."""
    state, _ = State().after(save("phone", 1, 0))
    journals: dict[str, list[Save]] = {"one": [], "two": []}
    directly: list[Save] = []
    for sequence, (device, catalog, is_back) in enumerate(acted, 1):
        one = save(device, 1, sequence + 100 * is_back, base=1)
        (directly if is_back else journals[catalog]).append(one)
    for one in directly:
        state, _ = state.after(one)
    news = state.pointer
    # Replays may begin again from the start, and the two may mix.
    parts = [name for name in journals for _ in range(passes)]
    random.shuffle(parts)
    for name in parts:
        before = state.pointer
        state = state.with_all(journals[name])
        assert before is not None
        assert state.pointer is not None
        assert state.pointer.revision >= before.revision
    assert state.pointer is not None
    if directly and news is not None:
        assert state.pointer == news
    everything = [*directly, *journals["one"], *journals["two"]]
    for device in {one.point.device_id for one in everything}:
        assert state.points[device].place == max(s.point.place for s in everything if s.point.device_id == device)


def test_of_one_spool_the_later_action_has_the_pointer() -> None:
    state, _ = State().after(save("phone", 1, 1))
    state = state.with_all([save("car", 1, 1, base=1), save("phone", 1, 2, base=1), save("desk", 1, 1, base=1)])
    assert state.pointer == Pointer("desk", 4)


def test_a_heartbeat_moves_the_pointer_to_no_other_device() -> None:
    state, _ = State().after(save("phone", 1, 1))
    state, outcome = state.after(save("car", 5, 5, kind=Kind.HEARTBEAT))
    assert (state.pointer, outcome) == (Pointer("phone", 1), Outcome.ACCEPTED)
    state, _ = state.after(save("phone", 1, 2, kind=Kind.HEARTBEAT))
    assert state.in_order()[0].place == (1, 2)
    assert state.in_order()[0].revision == 1


def test_the_first_heartbeat_of_all_makes_the_pointer() -> None:
    state, _ = State().after(save("car", 1, 1, kind=Kind.HEARTBEAT))
    assert state.pointer == Pointer("car", 0)


@pytest.mark.parametrize(
    ("late", "base", "outcome"),
    [(True, 1, Outcome.APART), (True, 2, Outcome.ACCEPTED), (False, 1, Outcome.ACCEPTED)],
)
def test_only_a_late_action_that_did_not_know_is_kept_apart(late: bool, base: int, outcome: Outcome) -> None:
    decision = decide(Pointer("car", 2), None, save("phone", 1, 1, base=base, late=late))
    assert decision.outcome is outcome
    assert (decision.pointer == Pointer("car", 2)) == (outcome is Outcome.APART)


@given(saves, saves)
def test_clock_and_position_do_not_decide(kept: Save, offered: Save) -> None:
    state, _ = State().after(kept)
    _, outcome = state.after(offered)
    old = {name: replace(point, saved_unix_ms=99, position_ms=99) for name, point in state.points.items()}
    again = replace(offered, point=replace(offered.point, saved_unix_ms=0, position_ms=0))
    assert replace(state, points=old).after(again)[1] is outcome


def test_a_save_that_had_to_wait_knows_what_stood_before_it() -> None:
    assert knowing(save("car", 1, 1, base=2), 5) == save("car", 1, 1, base=5, late=True)
    assert knowing(save("car", 1, 1, base=7), 5).base_revision == 7
