"""The coalescing state machine: examples that read as conversations, then every conversation Hypothesis can think of."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from origin.coalescing import Coalescer, Held, Joined, Read, Started

SONG = "a" * 64


def coalescer(window_bytes_max: int = 1_000, read_chunks_max: int = 8, join_chunks_max: int = 2) -> Coalescer:
    return Coalescer(
        window_bytes_max=window_bytes_max, read_chunks_max=read_chunks_max, join_chunks_max=join_chunks_max
    )


def started(outcome: object) -> Read:
    assert isinstance(outcome, Started)
    return outcome.read


def land_all(machine: Coalescer, read: Read) -> None:
    while not read.complete:
        machine.land(read, b"%d" % read.head)
    machine.drop(read)


def test_the_second_reader_joins_the_first_readers_read() -> None:
    machine = coalescer()
    read = started(machine.want(SONG, 0, 5))
    assert (read.head, read.end) == (0, 5)
    assert machine.want(SONG, 0, 5) == Joined()
    machine.land(read, b"zero")
    assert machine.want(SONG, 0, 5) == Held(b"zero")


def test_a_reader_slightly_ahead_waits_for_the_live_read() -> None:
    machine = coalescer(join_chunks_max=2)
    read = started(machine.want(SONG, 0, 8))
    assert machine.want(SONG, 2, 8) == Joined()
    assert read.end == 8


def test_a_reader_far_ahead_takes_over_the_tail_and_nothing_is_read_twice() -> None:
    machine = coalescer(join_chunks_max=2)
    first = started(machine.want(SONG, 0, 8))
    second = started(machine.want(SONG, 5, 8))
    assert (first.head, first.end) == (0, 5)
    assert (second.head, second.end) == (5, 8)


def test_a_read_stops_before_chunks_that_are_held_or_in_flight() -> None:
    machine = coalescer(read_chunks_max=4)
    land_all(machine, started(machine.want(SONG, 3, 4)))
    assert started(machine.want(SONG, 0, 8)).end == 3
    started(machine.want(SONG, 7, 8))
    assert started(machine.want(SONG, 4, 8)).end == 7


def test_one_read_is_bounded_however_much_is_wanted() -> None:
    assert started(coalescer(read_chunks_max=4).want(SONG, 10, 1_000)).end == 14


def test_what_a_failed_read_did_not_bring_can_be_read_again() -> None:
    machine = coalescer()
    read = started(machine.want(SONG, 0, 4))
    machine.land(read, b"zero")
    machine.drop(read)
    assert machine.live_reads == 0
    assert machine.want(SONG, 0, 4) == Held(b"zero")
    assert started(machine.want(SONG, 1, 4)).head == 1


def test_the_window_forgets_the_least_recently_used_chunk() -> None:
    machine = coalescer(window_bytes_max=2)
    land_all(machine, started(machine.want(SONG, 0, 2)))
    assert machine.want(SONG, 0, 2) == Held(b"0")
    land_all(machine, started(machine.want(SONG, 2, 3)))
    assert machine.want(SONG, 0, 3) == Held(b"0")
    assert isinstance(machine.want(SONG, 1, 3), Started)


def test_renditions_do_not_share_chunks() -> None:
    machine = coalescer()
    land_all(machine, started(machine.want(SONG, 0, 1)))
    assert isinstance(machine.want("b" * 64, 0, 1), Started)


class Conversations(RuleBasedStateMachine):
    """Readers, arrivals and failures in any order, against the three invariants of the module."""

    CHUNKS, BUDGET, READ_MAX = 24, 40, 7

    def __init__(self) -> None:
        super().__init__()
        self.machine = coalescer(window_bytes_max=self.BUDGET, read_chunks_max=self.READ_MAX, join_chunks_max=3)
        self.live: list[Read] = []

    @rule(song=st.sampled_from("ab"), index=st.integers(0, CHUNKS - 1), count=st.integers(1, CHUNKS))
    def want(self, song: str, index: int, count: int) -> None:
        stop = min(index + count, self.CHUNKS)
        match self.machine.want(song, index, stop):
            case Held(chunk):
                assert chunk == b"%s%03d" % (song.encode(), index)
            case Joined():
                assert sum(index in range(r.head, r.end) for r in self.live if r.rendition_id == song) == 1
            case Started(read):
                assert (read.rendition_id, read.head) == (song, index)
                assert 0 < read.end - read.head <= self.READ_MAX
                self.live.append(read)

    @precondition(lambda self: any(not read.complete for read in self.live))
    @rule(data=st.data())
    def chunk_arrives(self, data: st.DataObject) -> None:
        read = data.draw(st.sampled_from([read for read in self.live if not read.complete]))
        self.machine.land(read, b"%s%03d" % (read.rendition_id.encode(), read.head))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def read_ends(self, data: st.DataObject) -> None:
        read = data.draw(st.sampled_from(self.live))
        self.live.remove(read)
        self.machine.drop(read)

    @invariant()
    def no_chunk_is_in_flight_twice(self) -> None:
        in_flight = [(r.rendition_id, index) for r in self.live for index in range(r.head, r.end)]
        assert len(in_flight) == len(set(in_flight))
        assert not set(in_flight) & set(self.machine._window)

    @invariant()
    def held_bytes_are_counted_and_bounded(self) -> None:
        assert self.machine.window_bytes == sum(map(len, self.machine._window.values())) <= self.BUDGET

    @invariant()
    def live_reads_are_counted(self) -> None:
        assert self.machine.live_reads == len(self.live)


Conversations.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestConversations = Conversations.TestCase
