"""Whatever is cut from the end of a spool file, or changed in it, what is whole before that is read."""

from hypothesis import given
from hypothesis import strategies as st

from catalog.resuming.journal import Spooled, from_records, to_record
from catalog.resuming.resume import Point, Save

counts = st.integers(0, (1 << 63) - 1)


def action(
    user_id: str, device_id: str, place: tuple[int, int], position_ms: int, finished: bool, base: int, late: bool
) -> Spooled:
    point = Point("song", device_id, position_ms, finished, *place, saved_unix_ms=1_700_000_000_000)
    return Spooled(user_id, Save(point, base_revision=base, late=late))


actions = st.builds(
    action,
    st.text(max_size=64),
    st.text(max_size=64),
    st.tuples(counts, counts),
    st.integers(0, (1 << 32) - 1),
    st.booleans(),
    counts,
    st.booleans(),
)


@given(st.lists(actions, max_size=5), st.data())
def test_a_torn_end_costs_only_the_record_that_is_torn(spooled: list[Spooled], data: st.DataObject) -> None:
    records = [to_record(one) for one in spooled]
    whole = b"".join(records)
    cut = data.draw(st.integers(0, len(whole)))
    read, torn_bytes = from_records(whole[:cut])
    assert read == spooled[: len(read)]
    assert sum(map(len, records[: len(read)])) == cut - torn_bytes
    assert cut < len(whole) or len(read) == len(spooled)


@given(st.lists(actions, min_size=1, max_size=4), st.data())
def test_a_changed_byte_is_noticed(spooled: list[Spooled], data: st.DataObject) -> None:
    whole = bytearray(b"".join(to_record(one) for one in spooled))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    read, torn_bytes = from_records(bytes(whole))
    assert read == spooled[: len(read)]
    assert torn_bytes > 0


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(garbage: bytes) -> None:
    read, torn_bytes = from_records(garbage)
    assert torn_bytes == len(garbage)
    assert read == []
