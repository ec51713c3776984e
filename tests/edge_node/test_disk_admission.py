"""The disk takes what is asked for again, and remembers only so many requests."""

from edge_node.disk_admission import DiskAdmission
from edge_node.eviction import Key, Part


def key(number: int) -> Key:
    return Key(f"{number:064x}", Part.TAIL)


def test_the_second_request_is_admitted() -> None:
    admission = DiskAdmission(10)
    admission.touch(key(1))
    assert not admission.admits(key(1))
    admission.touch(key(1))
    assert admission.admits(key(1))


def test_a_kept_key_needs_no_request() -> None:
    admission = DiskAdmission(10)
    admission.keep(key(1))
    assert admission.admits(key(1))


def test_a_forgotten_key_starts_anew() -> None:
    admission = DiskAdmission(10)
    admission.keep(key(1))
    admission.forget(key(1))
    admission.touch(key(1))
    assert not admission.admits(key(1))


def test_a_request_too_long_ago_does_not_count() -> None:
    admission = DiskAdmission(10)
    admission.touch(key(0))
    for number in range(1, 11):
        admission.touch(key(number))
    admission.touch(key(0))
    assert not admission.admits(key(0))
