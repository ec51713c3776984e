"""Messages that come and go cost no memory from the system, once the allocator knows that they come again."""

import platform
import subprocess
import sys

import pytest

CHURN = """
import resource
from reprise import heap

if {keep}:
    heap.keep_freed()
data = bytes(200_000)

def messages():
    return [b"".join((b"head", data)) for _ in range(8)]

messages()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    messages()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
GLIBC = platform.libc_ver()[0] == "glibc"


def page_faults(*, keep: bool) -> int:
    argv = (sys.executable, "-c", CHURN.format(keep=keep))
    return int(subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout)


@pytest.mark.skipif(not GLIBC, reason="glibc's allocator is the one that gives memory back so soon")
def test_freed_messages_stay_with_the_process() -> None:
    assert page_faults(keep=False) > 10_000, "without it nothing would be gained"
    assert page_faults(keep=True) < 1_000
