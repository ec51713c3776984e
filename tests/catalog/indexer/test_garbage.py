"""When files of the store may go."""

from catalog.indexer.garbage import Garbage


def test_a_file_goes_when_nothing_named_it_for_the_whole_grace() -> None:
    garbage = Garbage(10)
    assert garbage.due(["a", "b"], ["b"], 100) == []
    assert garbage.due(["a", "b"], ["b"], 109) == []
    assert garbage.due(["a", "b"], ["b"], 110) == ["a"]


def test_a_file_that_was_named_in_between_starts_anew() -> None:
    garbage = Garbage(10)
    garbage.due(["a"], [], 100)
    garbage.due(["a"], ["a"], 105)
    assert garbage.due(["a"], [], 112) == []
    assert garbage.due(["a"], [], 122) == ["a"]


def test_what_is_gone_is_forgotten() -> None:
    garbage = Garbage(10)
    garbage.due(["a"], [], 100)
    garbage.due([], [], 105)
    assert garbage.due(["a"], [], 111) == []
