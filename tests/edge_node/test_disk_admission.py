"""The disk takes what is asked for again, or for what there is room; never a guest; and it remembers only so many requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.disk_admission import ROOM_SHARE, DiskAdmission, Ruling
from edge_node.eviction import Key, Part, S3Fifo
from edge_node.homes import Homes

DISK_BYTES = 1000


def key(number: int) -> Key:
    return Key(f"{number:064x}", Part.TAIL)


def admission(used_bytes: int = DISK_BYTES, keys_max: int = 10, edges: tuple[str, ...] = ("edge-1",)) -> DiskAdmission:
    """Of edge-1, whose disk is full unless told otherwise."""
    disk, homes = S3Fifo(DISK_BYTES, 10), Homes()
    disk.grow(key(999), used_bytes)
    homes.settle("edge-1", dict.fromkeys(edges, 1))
    return DiskAdmission(keys_max, homes, disk)


def test_a_full_disk_admits_the_second_request() -> None:
    full = admission()
    full.touch(key(1))
    assert full.rule(key(1)) is Ruling.SELDOM
    full.touch(key(1))
    assert full.rule(key(1)) is Ruling.AGAIN


@pytest.mark.parametrize(("free_share", "ruling"), [(ROOM_SHARE + 0.01, Ruling.ROOM), (ROOM_SHARE, Ruling.SELDOM)])
def test_the_first_request_is_enough_while_there_is_room(free_share: float, ruling: Ruling) -> None:
    roomy = admission(used_bytes=round((1 - free_share) * DISK_BYTES))
    assert roomy.rule(key(1)) is Ruling.SELDOM, "not asked for at all"
    roomy.touch(key(1))
    assert roomy.rule(key(1)) is ruling


@given(st.integers(0, 1000), st.integers(0, 5), st.integers(1, DISK_BYTES))
def test_of_two_edges_just_the_home_admits(number: int, requests: int, used_bytes: int) -> None:
    here, alone = admission(used_bytes, edges=("edge-1", "edge-2")), admission(used_bytes)
    for _ in range(requests):
        here.touch(key(number))
        alone.touch(key(number))
    homes = Homes()
    homes.settle("edge-1", {"edge-1": 1, "edge-2": 1})
    expected = alone.rule(key(number)) if homes.here(key(number).rendition_id) else Ruling.GUEST
    assert here.rule(key(number)) is expected


@given(st.integers(0, 1000), st.integers(0, 5))
def test_what_is_kept_needs_neither_request_nor_home(number: int, requests: int) -> None:
    full = admission(edges=("edge-1", "edge-2"))
    full.keep(key(number))
    for _ in range(requests):
        full.touch(key(number))
    assert full.rule(key(number)) is Ruling.KEPT
    assert full.rule(key(number)).admits


def test_a_forgotten_key_starts_anew() -> None:
    full = admission()
    full.keep(key(1))
    full.forget(key(1))
    full.touch(key(1))
    assert full.rule(key(1)) is Ruling.SELDOM


def test_a_request_too_long_ago_does_not_count() -> None:
    full = admission(keys_max=10)
    full.touch(key(0))
    for number in range(1, 11):
        full.touch(key(number))
    full.touch(key(0))
    assert full.rule(key(0)) is Ruling.SELDOM
