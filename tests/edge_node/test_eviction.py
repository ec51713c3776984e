"""Eviction keeps its budget, its promises to pins and holds, and what will be asked for again."""

import random
from collections import OrderedDict
from itertools import accumulate

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_node.eviction import Grown, Key, Part, Refused, S3Fifo, part_of
from reprise.chunks import PREFIX_CHUNKS

BYTES_MAX = 1000
KEYS_MAX = 12
KEYS = [Key(f"{number:064x}", part) for number in range(10) for part in Part]
keys = st.sampled_from(KEYS)


def prefix(number: int) -> Key:
    return Key(f"{number:064x}", Part.PREFIX)


def tail(number: int) -> Key:
    return Key(f"{number:064x}", Part.TAIL)


def grow(policy: S3Fifo, key: Key, size_bytes: int) -> tuple[Key, ...]:
    outcome = policy.grow(key, size_bytes)
    assert isinstance(outcome, Grown)
    return outcome.victims


class EvictionMachine(RuleBasedStateMachine):
    """A model that knows only sizes, pins and holds judges every victim that the policy names."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = S3Fifo(BYTES_MAX, KEYS_MAX)
        self.sizes: dict[Key, int] = {}
        self.pins: dict[Key, int] = dict.fromkeys(KEYS, 0)
        self.holds: dict[Key, int] = dict.fromkeys(KEYS, 0)

    def pinned(self) -> dict[Key, int]:
        return {key: size for key, size in self.sizes.items() if self.pins[key]}

    def lose(self, victims: tuple[Key, ...]) -> None:
        assert len(set(victims)) == len(victims)
        for victim in victims:
            assert not self.pins[victim], "a pinned key was evicted"
            assert self.sizes.pop(victim) > 0, "a victim had no bytes"
        if any(self.holds[victim] for victim in victims):
            assert all(self.pins[key] or self.holds[key] for key in self.sizes), "a held key went before an unheld one"

    @rule(key=keys, added=st.integers(1, 600))
    def grow(self, key: Key, added: int) -> None:
        fixed = self.pinned() | {key: self.sizes.get(key, 0)}
        before = dict(self.sizes)
        outcome = self.policy.grow(key, added)
        fits = sum(fixed.values()) + added <= BYTES_MAX and len(fixed) <= KEYS_MAX
        if not fits:
            assert isinstance(outcome, Refused)
            assert outcome.missing_bytes == max(0, sum(fixed.values()) + added - BYTES_MAX)
            assert self.sizes == before
            return
        assert isinstance(outcome, Grown)
        assert key not in outcome.victims
        own = self.sizes.pop(key, 0)
        self.lose(outcome.victims)
        self.sizes[key] = own + added

    @rule(key=keys)
    def touch(self, key: Key) -> None:
        self.policy.touch(key)

    @rule(key=keys)
    def pin(self, key: Key) -> None:
        self.policy.pin(key)
        self.pins[key] += 1

    @rule(key=keys)
    def hold(self, key: Key) -> None:
        self.policy.hold(key)
        self.holds[key] += 1

    @precondition(lambda self: any(self.pins.values()))
    @rule(data=st.data())
    def unpin(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from([key for key, pins in self.pins.items() if pins]))
        self.policy.unpin(key)
        self.pins[key] -= 1

    @precondition(lambda self: any(self.holds.values()))
    @rule(data=st.data())
    def unhold(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from([key for key, holds in self.holds.items() if holds]))
        self.policy.unhold(key)
        self.holds[key] -= 1

    @rule(key=keys)
    def remove(self, key: Key) -> None:
        self.policy.remove(key)
        self.sizes.pop(key, None)
        self.pins[key] = self.holds[key] = 0

    @rule(key=keys)
    def clear(self, key: Key) -> None:
        self.policy.clear(key)
        self.sizes.pop(key, None)

    @rule(size_bytes=st.integers(1, 600))
    def give_up(self, size_bytes: int) -> None:
        before = self.policy.size_bytes
        self.lose(self.policy.give_up(size_bytes))
        assert self.policy.size_bytes <= max(before - size_bytes, sum(self.pinned().values()))

    @invariant()
    def within_budget(self) -> None:
        assert self.policy.size_bytes <= BYTES_MAX
        assert len(self.policy) <= KEYS_MAX

    @invariant()
    def accounting_is_exact(self) -> None:
        assert self.policy.size_bytes == sum(self.sizes.values())
        assert self.policy.pinned_bytes == sum(self.pinned().values())
        assert len(self.policy) == len(self.sizes)
        assert all(self.policy.size_of(key) == self.sizes.get(key, 0) for key in KEYS)
        assert all((key in self.policy) == (key in self.sizes) for key in KEYS)


EvictionMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestEviction = EvictionMachine.TestCase


def test_prefix_is_eight_chunks_and_the_rest_is_tail() -> None:
    assert part_of(PREFIX_CHUNKS - 1) is Part.PREFIX
    assert part_of(PREFIX_CHUNKS) is Part.TAIL


def test_what_the_small_queue_has_no_room_for_goes_first_in_first_out() -> None:
    policy = S3Fifo(1000, 100)
    for number in range(100):
        assert grow(policy, tail(number), 10) == ()
    # The first six are in the small queue; the rest found an empty main.
    victims = [grow(policy, tail(number), 10) for number in range(100, 106)]
    assert victims == [(tail(number),) for number in range(6)]


@pytest.mark.parametrize(("key", "hits"), [(prefix(0), 1), (tail(0), 2)])
def test_hits_in_the_small_queue_lead_to_main(key: Key, hits: int) -> None:
    policy = S3Fifo(100, 100)
    grow(policy, key, 10)
    for _ in range(1 + hits):
        policy.touch(key)
    for number in range(1, 50):
        grow(policy, tail(number), 10)
    assert key in policy


@pytest.mark.parametrize(("key", "hits"), [(prefix(0), 0), (tail(0), 1)])
def test_one_hit_less_does_not(key: Key, hits: int) -> None:
    policy = S3Fifo(100, 100)
    grow(policy, key, 10)
    for _ in range(1 + hits):
        policy.touch(key)
    for number in range(1, 50):
        grow(policy, tail(number), 10)
    assert key not in policy


def test_a_ghost_returns_into_main() -> None:
    policy = S3Fifo(100, 100)
    for number in range(11):
        grow(policy, tail(number), 10)
    assert tail(0) not in policy
    grow(policy, tail(0), 10)
    # A scan pushes everything out of the small queue; main is not asked to give anything.
    for number in range(20, 60):
        grow(policy, tail(number), 10)
    assert tail(0) in policy


def test_ghosts_are_bounded_in_bytes_and_keys() -> None:
    policy = S3Fifo(100, 5)
    for number in range(1000):
        grow(policy, tail(number), 10)
    assert policy._ghost_bytes <= 90
    assert len(policy._ghosts) <= 5


def test_followers_of_a_fill_count_before_its_first_byte() -> None:
    policy = S3Fifo(100, 100)
    policy.pin(tail(0))
    for _leader_and_followers in range(3):
        policy.touch(tail(0))
    grow(policy, tail(0), 10)
    policy.unpin(tail(0))
    for number in range(1, 50):
        grow(policy, tail(number), 10)
    assert tail(0) in policy


def test_a_refusal_says_how_much_is_missing_and_changes_nothing() -> None:
    policy = S3Fifo(100, 100)
    policy.pin(tail(0))
    grow(policy, tail(0), 80)
    grow(policy, tail(1), 20)
    assert policy.grow(tail(2), 30) == Refused(10)
    assert policy.size_of(tail(1)) == 20


def test_a_key_never_makes_room_for_itself() -> None:
    policy = S3Fifo(100, 100)
    grow(policy, tail(0), 50)
    grow(policy, tail(1), 50)
    assert grow(policy, tail(0), 50) == (tail(1),)
    assert policy.size_of(tail(0)) == 100


def test_held_keys_go_last_but_go() -> None:
    policy = S3Fifo(100, 100)
    policy.hold(tail(0))
    grow(policy, tail(0), 50)
    grow(policy, tail(1), 50)
    assert grow(policy, tail(2), 50) == (tail(1),)
    policy.hold(tail(2))
    assert grow(policy, tail(3), 50) == (tail(0),)
    policy.unhold(tail(0))
    assert tail(0) not in policy


class Lru:
    """What S3-FIFO has to beat."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.size_bytes = 0
        self.items: OrderedDict[Key, int] = OrderedDict()

    def request(self, key: Key, size_bytes: int) -> bool:
        if key in self.items:
            self.items.move_to_end(key)
            return True
        self.items[key] = size_bytes
        self.size_bytes += size_bytes
        while self.size_bytes > self.bytes_max:
            self.size_bytes -= self.items.popitem(last=False)[1]
        return False


class Fifo3:
    """The policy as a cache of whole parts."""

    def __init__(self, bytes_max: int) -> None:
        self.policy = S3Fifo(bytes_max, 1 << 20)

    def request(self, key: Key, size_bytes: int) -> bool:
        hit = key in self.policy
        if not hit:
            grow(self.policy, key, size_bytes)
        self.policy.touch(key)
        return hit


def zipf_with_scans(seed: int, songs: int, requests: int) -> list[tuple[Key, int]]:
    """Listeners choose by Zipf(0.9), and every so often somebody downloads a row of songs that nobody else wants."""
    rng = random.Random(seed)
    weights = list(accumulate(1 / rank**0.9 for rank in range(1, songs + 1)))
    sizes = [rng.randrange(2, 9) for _ in range(songs)]
    trace = []
    for number, song in enumerate(rng.choices(range(songs), cum_weights=weights, k=requests)):
        trace.append((tail(song), sizes[song]))
        if number % 1000 == 999:
            trace += [(tail(songs + number + offset), 5) for offset in range(200)]
    return trace


def byte_miss_ratio(cache: Lru | Fifo3, trace: list[tuple[Key, int]]) -> float:
    missed = sum(size for key, size in trace if not cache.request(key, size))
    return missed / sum(size for _, size in trace)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_scans_and_a_long_tail_cost_less_than_with_lru(share: float) -> None:
    trace = zipf_with_scans(seed=7, songs=5000, requests=40_000)
    bytes_max = int(share * sum(dict(trace).values()))
    ours, lru = byte_miss_ratio(Fifo3(bytes_max), trace), byte_miss_ratio(Lru(bytes_max), trace)
    assert ours < lru - 0.02, f"S3-FIFO {ours:.3f}, LRU {lru:.3f}"
