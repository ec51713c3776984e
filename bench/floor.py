"""`./scripts/bench floor`: what the kernel alone takes to send bytes that lie in memory, by each way a server has.

No request, no HTTP, no server: blocking sockets, one after the other, and a reader on another core that drops what it gets.
What a way costs here is the least that any server can cost which sends that way, in whatever language.
"""

import argparse
import ctypes
import mmap
import os
import selectors
import socket
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from pathlib import Path

from bench import report
from bench.launch import CLIENT_CORE, SERVER_CORE
from bench.options import numbers, sizes
from bench.report import Column
from reprise.http_splice import MemoryPipe

FILE_BYTES = 5 << 20
CHUNK_BYTES = 64 << 10
# Enough for a CPU clock of nanoseconds to say something, few enough for a minute in all.
SENT_BYTES_MIN = 64 << 20
COLUMNS = (
    Column("bytes", "size"),
    Column("connections", "connections"),
    Column("way", "way"),
    Column("µs of CPU an answer", "us"),
    Column("answers/CPU s", "answers_cpu_s"),
    Column("x sendfile of a file", "x_file", 2),
)
# Sends `count` bytes from an offset to a socket.
Way = Callable[[socket.socket, int, int], None]


def filled(fd: int) -> int:
    """`fd`, written chunk by chunk as a fill writes it."""
    os.ftruncate(fd, FILE_BYTES)
    for offset in range(0, FILE_BYTES, CHUNK_BYTES):
        os.pwrite(fd, os.urandom(CHUNK_BYTES), offset)
    return fd


def by_sendfile(fd: int) -> Way:
    def send(sock: socket.socket, offset: int, count: int) -> None:
        end = offset + count
        while offset < end:
            offset += os.sendfile(sock.fileno(), fd, offset, end - offset)

    return send


def by_copy(memory: memoryview) -> Way:
    return lambda sock, offset, count: sock.sendall(memory[offset : offset + count])


def by_vmsplice(memory: mmap.mmap) -> Way:
    pipe = MemoryPipe()
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))

    def send(sock: socket.socket, offset: int, count: int) -> None:
        end = offset + count
        while offset < end:
            offset += pipe.send(sock.fileno(), address + offset, end - offset)

    return send


def ways(folder: Path) -> dict[str, Way]:
    """Every way, each with 5 MiB of its own to send."""
    memfd = filled(os.memfd_create("floor"))
    mapped = mmap.mmap(memfd, FILE_BYTES)
    return {
        "sendfile of a file in the page cache": by_sendfile(filled(os.open(folder / "file", os.O_RDWR | os.O_CREAT))),
        "sendfile of a memfd": by_sendfile(memfd),
        "copy from a mapped memfd": by_copy(memoryview(mapped)),
        "vmsplice of a mapped memfd": by_vmsplice(mapped),
    }


def drop_all(readers: list[socket.socket]) -> None:
    """Reads from all of `readers` on another core, without a copy, until every one has ended."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    selector = selectors.DefaultSelector()
    for reader in readers:
        selector.register(reader, selectors.EVENT_READ)
    while selector.get_map():
        for key, _ in selector.select():
            if not key.fileobj.recv(1 << 20, socket.MSG_TRUNC):  # type: ignore[union-attr]
                selector.unregister(key.fileobj)


def pairs(count: int) -> list[tuple[socket.socket, socket.socket]]:
    """Connected sockets over loopback: (sender, reader)."""
    with socket.create_server(("127.0.0.1", 0), backlog=count) as server:
        readers = [socket.create_connection(server.getsockname()) for _ in range(count)]
        return [(server.accept()[0], reader) for reader in readers]


def cost_us(way: Way, size: int, connections: int) -> float:
    """The sender's CPU time for one answer, in microseconds."""
    joined = pairs(connections)
    reader_pid = os.fork()
    if reader_pid == 0:
        for sender, _ in joined:
            sender.close()
        drop_all([reader for _, reader in joined])
        os._exit(0)
    senders = [sender for sender, _ in joined]
    for _, reader in joined:
        reader.close()
    count = max(SENT_BYTES_MIN // size, 4 * connections)
    began = time.thread_time()
    for i in range(count):
        way(senders[i % connections], i * 7919 % (FILE_BYTES - size + 1), size)
    spent = time.thread_time() - began
    for sender in senders:
        sender.close()
    os.waitpid(reader_pid, 0)
    return spent / count * 1e6


def rows(us: dict[tuple[int, int, str], list[float]]) -> list[dict[str, object]]:
    medians = {key: report.median(values) for key, values in us.items()}
    return [
        {
            "size": f"{size >> 10} KiB",
            "connections": connections,
            "way": way,
            "us": cost,
            "answers_cpu_s": 1e6 / cost,
            "x_file": medians[size, connections, next(iter(ways_of(us)))] / cost,
        }
        for (size, connections, way), cost in medians.items()
    ]


def ways_of(us: dict[tuple[int, int, str], list[float]]) -> dict[str, None]:
    """The names of the ways, in their order."""
    return dict.fromkeys(way for _, _, way in us)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench floor", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=sizes, default=sizes("64k,256k,1m"), help="64k,256k,1m; at most 4m")
    parser.add_argument("--connections", type=numbers, default=[1, 16])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not all(0 < size < FILE_BYTES for size in args.sizes):
        parser.error("--sizes must be over 0 and under 5 MiB each")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("bench floor needs two cores: one that sends, one that reads")
    machine = report.machine()
    us: dict[tuple[int, int, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="reprise-floor-", dir=Path.cwd()) as folder:
        known = ways(Path(folder))
        os.sched_setaffinity(0, {SERVER_CORE})
        for turn in range(args.rounds):
            report.say(f"round {turn + 1} of {args.rounds}")
            for size, connections, (name, way) in product(args.sizes, args.connections, known.items()):
                us[size, connections, name].append(cost_us(way, size, connections))
    table = rows(us)
    print(f"{machine}\n{args.rounds} rounds; medians\n\n{report.table(COLUMNS, table)}")
    report.write_json(args.json, {"machine": machine, "rows": table})


if __name__ == "__main__":
    main()
