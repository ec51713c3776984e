"""A link carries messages in order, with the files that belong to them, and says when the other end is of no use any more."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from edge_node.open_file import OpenFile
from edge_node.workers import link as link_module
from edge_node.workers.link import Link
from edge_node.workers.messages import Drain, Listening, Manifested, Message, PartState, Use


class End:
    """One end, and what it was told."""

    def __init__(self, sock: socket.socket) -> None:
        self.got: list[tuple[Message, int | None]] = []
        self.lost: list[str] = []
        self.link = Link(sock, lambda message, fd: self.got.append((message, fd)), self.lost.append)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.got) < count and not self.lost:
                await asyncio.sleep(0)

    async def until_lost(self) -> str:
        async with asyncio.timeout(10):
            while not self.lost:
                await asyncio.sleep(0)
        return self.lost[0]


@pytest.fixture
def sockets() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


@pytest.fixture
async def ends(sockets: tuple[socket.socket, socket.socket]) -> tuple[End, End]:
    return End(sockets[0]), End(sockets[1])


def state(number: int) -> PartState:
    return PartState("r", "prefix", "ram", number, number, None)


def memory(content: bytes) -> OpenFile:
    file = OpenFile(os.memfd_create("reprise-test"))
    os.pwrite(file.fd, content, 0)
    return file


async def test_each_file_arrives_with_its_message_among_others_that_have_none(ends: tuple[End, End]) -> None:
    here, there = ends
    for number in range(200):
        here.link.send(state(number), memory(b"%d" % number) if number % 3 == 0 else None)
        here.link.send(Use(f"{number}"))
    await there.until(400)
    assert [message for message, _ in there.got[::2]] == [state(number) for number in range(200)]
    for number, (_, fd) in enumerate(there.got[::2]):
        assert (fd is not None) == (number % 3 == 0)
        if fd is not None:
            assert os.pread(fd, 9, 0) == b"%d" % number
            os.close(fd)


async def test_a_message_larger_than_the_socket_holds_arrives_whole(ends: tuple[End, End]) -> None:
    here, there = ends
    large = Manifested("r", bytes(3 << 20))
    here.link.send(large)
    here.link.send(state(1), memory(b"after"))
    await there.until(2)
    assert there.got[0] == (large, None)
    fd = there.got[1][1]
    assert fd is not None
    assert os.pread(fd, 9, 0) == b"after"
    os.close(fd)


async def test_the_sender_may_drop_a_file_before_it_has_left(ends: tuple[End, End]) -> None:
    here, there = ends
    here.link.send(state(1), memory(b"kept"))  # nobody but the link refers to it
    await there.until(1)
    fd = there.got[0][1]
    assert fd is not None
    assert os.pread(fd, 9, 0) == b"kept"
    os.close(fd)


async def test_an_end_that_closes_is_noticed_and_nothing_leaks(ends: tuple[End, End]) -> None:
    here, there = ends
    there.link.close()
    assert await here.until_lost() == "is gone"
    here.link.send(Drain())
    here.link.close()
    assert here.lost == ["is gone"]


async def test_noise_ends_the_link(sockets: tuple[socket.socket, socket.socket]) -> None:
    end = End(sockets[0])
    sockets[1].send(b"\xff" * 64)
    assert "makes no sense" in await end.until_lost()


async def test_a_message_that_cannot_be_handled_ends_the_link(sockets: tuple[socket.socket, socket.socket]) -> None:
    lost: list[str] = []
    here = End(sockets[0])

    def fail(_message: Message, _fd: int | None) -> None:
        raise KeyError("a bug")

    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    Link(sockets[1], fail, lost.append)
    here.link.send(Listening())
    assert await here.until_lost() == "is gone"
    assert lost == ["could not be understood"]


async def test_an_end_that_takes_nothing_is_lost_at_a_bound(
    sockets: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "WAITING_BYTES_MAX", 1 << 20)
    here = End(sockets[0])  # nobody reads at the other end
    for _ in range(4):
        here.link.send(Manifested("r", bytes(1 << 20)))
        await asyncio.sleep(0)
    assert "has not taken" in await here.until_lost()


async def test_a_link_that_closes_lets_go_of_files_that_nobody_took(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    end = End(sockets[0])
    before = descriptors()
    other = End(sockets[1])
    other.link.send(state(1), memory(b"x"))
    other.link.close()
    end.link.close()
    await asyncio.sleep(0)
    assert descriptors() < before


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
