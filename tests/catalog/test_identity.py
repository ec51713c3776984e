"""MusicBrainz ids tell artists, groups and releases apart where there are any; files without them never split one."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from catalog.identity import Adopt, Candidate, Identity, Known, New, decide

mbids = st.sampled_from([uuid.UUID(int=number) for number in range(1, 4)])
tags = st.lists(st.none() | mbids, max_size=20)


class Shelf:
    """Rows of one name, as publications find and make them one after another."""

    def __init__(self) -> None:
        self.rows: dict[uuid.UUID, uuid.UUID | None] = {}

    def publish(self, mbid: uuid.UUID | None) -> tuple[uuid.UUID, Identity]:
        of_mbid = next((id_ for id_, known in self.rows.items() if mbid and known == mbid), None)
        outcome = decide(mbid, of_mbid, [Candidate(id_, known) for id_, known in self.rows.items()])
        id_ = uuid.uuid4() if isinstance(outcome, New) else outcome.id
        if not isinstance(outcome, Known):
            self.rows[id_] = mbid
        return id_, outcome


@given(tags)
def test_a_musicbrainz_id_is_one_row_for_ever(offered: list[uuid.UUID | None]) -> None:
    shelf = Shelf()
    first: dict[uuid.UUID, uuid.UUID] = {}
    for mbid in offered:
        id_, _ = shelf.publish(mbid)
        if mbid is not None:
            assert first.setdefault(mbid, id_) == id_
    assert len(set(first.values())) == len(first)


@given(tags)
def test_at_most_one_row_of_a_name_has_no_id(offered: list[uuid.UUID | None]) -> None:
    shelf = Shelf()
    for mbid in offered:
        shelf.publish(mbid)
        assert list(shelf.rows.values()).count(None) <= 1
        assert len([known for known in shelf.rows.values() if known]) == len({k for k in shelf.rows.values() if k})


@given(tags)
def test_an_id_that_was_given_is_never_taken_away(offered: list[uuid.UUID | None]) -> None:
    shelf = Shelf()
    for mbid in offered:
        before = {id_: known for id_, known in shelf.rows.items() if known}
        shelf.publish(mbid)
        assert before.items() <= shelf.rows.items()


def test_files_without_ids_never_split_an_artist() -> None:
    shelf = Shelf()
    mbid = uuid.UUID(int=1)
    known, _ = shelf.publish(None)
    assert shelf.publish(mbid) == (known, Adopt(known))
    assert shelf.publish(None) == (known, Known(known))
    assert shelf.publish(mbid) == (known, Known(known))


def test_namesakes_with_ids_are_two_and_a_file_without_one_is_neither() -> None:
    shelf = Shelf()
    one, _ = shelf.publish(uuid.UUID(int=1))
    other, _ = shelf.publish(uuid.UUID(int=2))
    neither, outcome = shelf.publish(None)
    assert len({one, other, neither}) == 3
    assert isinstance(outcome, New)
    assert shelf.publish(None) == (neither, Known(neither))
