"""The rules at the top of `edge_node.coalescing`, over any order of events."""

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from edge_node.coalescing import FILLS_MAX, JOIN_CHUNKS_MAX, Busy, Coalescer, Follow, Lead, Ready

COUNT = 120


class CoalescerRules(RuleBasedStateMachine):
    """Readers want chunks at random while fills advance, end early and fail."""

    fills = Bundle("fills")

    def __init__(self) -> None:
        super().__init__()
        self.coalescer = Coalescer(COUNT)
        self.present: set[int] = set()
        self.fetching: dict[int, int] = {}

    @rule(target=fills, chunk=st.integers(0, COUNT - 1), limit=st.none() | st.integers(1, COUNT))
    def want(self, chunk: int, limit: int | None) -> object:
        decision = self.coalescer.want(chunk, self.present.__contains__, limit)
        if isinstance(decision, Ready):
            assert chunk in self.present
        elif isinstance(decision, Lead):
            assert decision.start == chunk
            self.fetching[decision.fill_id] = chunk
            return decision.fill_id
        elif isinstance(decision, Follow):
            position = self.coalescer.position(decision.fill_id)
            assert position <= chunk < position + self.coalescer.remaining(decision.fill_id)
            near = chunk - position <= JOIN_CHUNKS_MAX
            assert near or self.coalescer.running == FILLS_MAX
        else:
            assert isinstance(decision, Busy)
            assert self.coalescer.running == FILLS_MAX
        return multiple()

    @rule(fill_id=fills)
    def advance(self, fill_id: int) -> None:
        if fill_id not in self.fetching or self.coalescer.remaining(fill_id) <= 0:
            return
        chunk = self.coalescer.position(fill_id)
        assert chunk not in self.present, "a chunk was read twice"
        self.present.add(chunk)
        self.coalescer.advance(fill_id)

    @rule(fill_id=consumes(fills))
    def finish(self, fill_id: int) -> None:
        del self.fetching[fill_id]
        abandoned = self.coalescer.finish(fill_id)
        assert not self.present & set(abandoned)

    @invariant()
    def no_chunk_is_covered_twice(self) -> None:
        spans = [
            set(range(self.coalescer.position(f), self.coalescer.position(f) + self.coalescer.remaining(f)))
            for f in self.fetching
        ]
        assert sum(map(len, spans)) == len(set().union(*spans))

    @invariant()
    def fills_are_bounded(self) -> None:
        assert self.coalescer.running <= FILLS_MAX


TestCoalescerRules = CoalescerRules.TestCase


def test_a_wanted_chunk_is_covered_by_exactly_one_fill() -> None:
    coalescer = Coalescer(COUNT)
    assert coalescer.want(0, lambda _: False) == Lead(1, 0)
    assert coalescer.want(5, lambda _: False) == Follow(1)


def test_a_far_seek_takes_over_the_rest_of_the_fill_before_it() -> None:
    coalescer = Coalescer(COUNT)
    coalescer.want(0, lambda _: False)
    assert coalescer.want(100, lambda _: False) == Lead(2, 100)
    assert coalescer.remaining(1) == 100
    assert coalescer.remaining(2) == COUNT - 100


def test_a_fill_ends_where_cached_chunks_begin() -> None:
    coalescer = Coalescer(COUNT)
    coalescer.want(10, {40}.__contains__)
    assert coalescer.remaining(1) == 30


def test_a_size_that_comes_late_cuts_every_fill() -> None:
    coalescer = Coalescer()
    coalescer.want(3, lambda _: False)
    coalescer.want(90, lambda _: False)
    coalescer.set_count(50)
    assert coalescer.remaining(1) == 47
    assert coalescer.remaining(2) <= 0
    assert list(coalescer.finish(2)) == []


def test_a_limited_fill_stops_at_its_limit_and_the_rest_is_led_anew() -> None:
    coalescer = Coalescer(COUNT)
    coalescer.want(0, lambda _: False, 8)
    assert coalescer.remaining(1) == 8
    assert coalescer.want(8, lambda _: False) == Lead(2, 8)


def test_a_failed_fill_names_exactly_the_chunks_that_nobody_brings_any_more() -> None:
    coalescer = Coalescer(COUNT)
    coalescer.want(0, lambda _: False)
    coalescer.want(60, lambda _: False)
    coalescer.advance(1)
    assert coalescer.finish(1) == range(1, 60)
    assert coalescer.want(70, lambda _: False) == Follow(2)
