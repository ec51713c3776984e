"""The checker finds what is planted, and finds nothing where all is well."""

from dataclasses import replace

import pytest

from tests.chaos.history import History, Read, Saved, Seen, violations


def action(sequence: int, began: float, device: str = "phone", **fields: object) -> Saved:
    defaults = {"answered": began + 0.1, "revision": sequence}
    return Saved("song", device, (1, sequence), sequence * 1000, True, began, **(defaults | fields))  # type: ignore[arg-type]


def beat(sequence: int, began: float, device: str = "phone") -> Saved:
    return Saved("song", device, (1, sequence), sequence * 1000, False, began, answered=began + 0.1)


def seen(sequence: int, revision: int = 9) -> Seen:
    return Seen((1, sequence), sequence * 1000, revision)


def settled(at: float, pointer: str = "phone", **points: Seen) -> Read:
    return Read("song", at, dict(points), pointer, settled=True)


def test_a_history_in_which_all_is_well_has_no_violation() -> None:
    first, second = action(1, 0), action(2, 1)
    read = Read("song", 1.5, {"phone": seen(2)}, "phone", after=first)
    assert violations(History([first, second, beat(3, 2)], [read, settled(9, phone=seen(3))])) == []


def test_a_lost_action_is_found() -> None:
    found = violations(History([action(1, 0), action(2, 1)], [settled(9, phone=seen(1))], kills=[1.2]))
    assert len(found) == 1
    assert found[0].startswith("lost: action (1, 2) of phone")


def test_an_action_whose_device_is_gone_altogether_is_found() -> None:
    found = violations(History([action(1, 0)], [settled(9, pointer="", car=seen(1))]))
    assert any(line.startswith("lost") for line in found)
    assert any("never saved" in line for line in found)


def test_a_newer_action_of_the_device_makes_up_for_the_older_one() -> None:
    assert violations(History([action(1, 0), action(2, 1, answered=1.1)], [settled(9, phone=seen(2))])) == []


@pytest.mark.parametrize(("stale", "count"), [(False, 1), (True, 0)])
def test_a_read_behind_its_token_is_found_unless_it_says_so(stale: bool, count: int) -> None:
    first, second = action(1, 0), action(2, 1)
    read = Read("song", 2, {"phone": seen(1)}, "phone", stale=stale, after=second)
    assert len(violations(History([first, second], [read]))) == count


def test_a_pointer_that_went_back_behind_its_token_is_found() -> None:
    saves = [action(1, 0), action(1, 1, "car", revision=2)]
    read = Read("song", 2, {"phone": seen(1, 1), "car": seen(1, 1)}, "phone", after=saves[1])
    assert "older action" in violations(History(saves, [read]))[0]


def test_the_last_heartbeat_before_a_death_may_be_lost_and_one_before_that_may_not() -> None:
    saves = [action(1, 0), beat(2, 20), beat(3, 30)]
    assert violations(History(saves, [settled(40, phone=seen(2))], kills=[31])) == []
    assert len(violations(History(saves, [settled(40, phone=seen(1))], kills=[31]))) == 1
    assert len(violations(History(saves, [settled(40, phone=seen(2))], kills=[]))) == 1
    assert len(violations(History(saves, [settled(40, phone=seen(2))], kills=[41]))) == 1


def test_a_point_that_nobody_saved_is_found() -> None:
    read = Read("song", 2, {"phone": replace(seen(1), position_ms=7)}, "phone")
    assert "never saved" in violations(History([action(1, 0)], [read]))[0]


def test_a_refusal_and_an_action_without_an_answer_are_found() -> None:
    saves = [action(1, 0, refusal="ABORTED"), action(2, 1, answered=None)]
    assert [line.partition("begun")[2].partition(" ")[2] for line in violations(History(saves))] == [
        "at 0.000 was refused: ABORTED",
        "at 1.000 was never answered",
    ]


def test_a_pointer_that_stays_behind_another_devices_action_is_found_where_the_order_is_known() -> None:
    saves = [action(1, 0), action(1, 1, "car")]
    wrong, right = settled(9, phone=seen(1), car=seen(1)), settled(9, "car", phone=seen(1), car=seen(1))
    assert "though later there was" in violations(History(saves, [wrong]))[0]
    assert violations(History(saves, [right])) == []
    saves[1].spooled = True
    assert violations(History(saves, [wrong])) == []
