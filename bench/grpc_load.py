"""gRPC load, a process of its own: as many channels as asked, on each one stream after another. Takes messages as raw bytes."""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc

from bench.asks import PLAY
from bench.servers import CLIENT_CORE, ROOT, pinned
from bench.wrk import Load, LoadFailed


def run_grpc(folder: Path, port: int, requests: Sequence[bytes], connections: int, seconds: int) -> Load:
    """Sends `requests` in turn over `connections` for `seconds`. Raises LoadFailed."""
    listed = folder / "grpc.requests"
    listed.write_text("\n".join(request.hex() for request in requests))
    argv = pinned(CLIENT_CORE, sys.executable, "-m", "bench.grpc_load", f"--port={port}", f"--requests={listed}")
    argv += (f"--connections={connections}", f"--seconds={seconds}")
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 60, check=False)
    try:
        return Load(**json.loads(ended.stdout))
    except ValueError:
        raise LoadFailed(f"the gRPC load gave no result: {ended.stderr[-500:]}") from None


async def _load(port: int, requests: list[bytes], connections: int, seconds: int) -> Load:
    turns = cycle(requests)
    started = time.monotonic()
    done, received_bytes, errors = 0, 0, 0

    async def listen() -> None:
        nonlocal done, received_bytes, errors
        options = (("grpc.use_local_subchannel_pool", 1),)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            play: Any = channel.unary_stream(PLAY)
            while time.monotonic() < started + seconds:
                try:
                    async for message in play(next(turns)):
                        received_bytes += len(message)
                    done += 1
                except grpc.aio.AioRpcError:
                    errors += 1

    await asyncio.gather(*(listen() for _ in range(connections)))
    return Load(done, received_bytes, time.monotonic() - started, errors)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.grpc_load", description=__doc__)
    parser.add_argument("--requests", type=Path, required=True)
    for name in ("port", "connections", "seconds"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    requests = [bytes.fromhex(line) for line in options.requests.read_text().split()]
    print(json.dumps(asdict(asyncio.run(_load(options.port, requests, options.connections, options.seconds)))))


if __name__ == "__main__":
    main()
