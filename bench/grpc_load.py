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
from bench.certificate import HOST
from bench.launch import CLIENT_CORE, ROOT, Server, cpu_s, pinned
from bench.load import POLL_S, WARM_S_MAX, Load, LoadFailed, Plan

READY_S_MAX = 30.0
# The certificate is for a name, and we connect to an address.
_AS_NAMED = (("grpc.ssl_target_name_override", HOST),)


def run_grpc(folder: Path, server: Server, requests: Sequence[bytes], plan: Plan, method: str = PLAY) -> Load:
    """Sends `requests` to `method` in turn, on as many channels as there should be connections. Raises LoadFailed."""
    listed = folder / "grpc.requests"
    listed.write_text("\n".join(request.hex() for request in requests))
    argv = pinned(CLIENT_CORE, sys.executable, "-m", "bench.grpc_load", f"--port={server.grpc_port}")
    argv += (f"--requests={listed}", f"--server-pids={','.join(map(str, server.pids))}", f"--method={method}")
    argv += (f"--certificate={server.certificate.certificate_path}",) if server.certificate else ()
    argv += tuple(f"--{name.replace('_', '-')}={value}" for name, value in asdict(plan).items())
    seconds_max = READY_S_MAX + WARM_S_MAX + plan.seconds + 30
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=seconds_max, check=False)
    try:
        return Load(**json.loads(ended.stdout))
    except ValueError:
        raise LoadFailed(f"the gRPC load gave no result: {ended.stderr[-500:]}") from None


def hear(server: Server, request: bytes, method: str = PLAY) -> list[bytes]:
    """The messages of one stream; of a unary method its only one."""
    address, trusted = f"127.0.0.1:{server.grpc_port}", server.certificate and server.certificate.certificate_path
    with (
        grpc.secure_channel(address, _credentials(trusted), _AS_NAMED) if trusted else grpc.insecure_channel(address)
    ) as channel:
        play: Any = channel.unary_stream(method)
        try:
            return list(play(request))
        except grpc.RpcError as error:
            raise LoadFailed(f"{server.name} refused a stream: {error}") from None


def _credentials(trusted: Path) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(trusted.read_bytes())


class Listeners:
    """Streams over channels that are all connected before the first stream."""

    def __init__(self, port: int, requests: list[bytes], method: str, trusted: Path | None) -> None:
        self._method = method
        self._address = f"127.0.0.1:{port}"
        self._credentials = _credentials(trusted) if trusted else None
        self._turns = cycle(requests)
        self.received_bytes = 0
        self.errors = 0

    def channel(self) -> grpc.aio.Channel:
        # Channels of one process would share one connection.
        options = (("grpc.use_local_subchannel_pool", 1),)
        if self._credentials:
            return grpc.aio.secure_channel(self._address, self._credentials, options=(*options, *_AS_NAMED))
        return grpc.aio.insecure_channel(self._address, options=options)

    async def listen(self, channel: grpc.aio.Channel) -> None:
        """One stream after another, until it is cancelled."""
        play: Any = channel.unary_stream(self._method)
        while True:
            try:
                async for message in play(next(self._turns)):
                    self.received_bytes += len(message)
            except grpc.aio.AioRpcError:
                self.errors += 1


async def _load(listeners: Listeners, plan: Plan, pids: list[int]) -> Load:
    channels = [listeners.channel() for _ in range(plan.connections)]
    async with asyncio.timeout(READY_S_MAX):
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
    streams = [asyncio.create_task(listeners.listen(channel)) for channel in channels]
    began = time.monotonic()
    while not plan.warm(listeners.received_bytes, time.monotonic() - began):  # noqa: ASYNC110 - woken per message it would slow them
        await asyncio.sleep(POLL_S)
    began, bytes_before = time.monotonic(), listeners.received_bytes
    server_before, client_before = sum(map(cpu_s, pids)), time.process_time()
    await asyncio.sleep(plan.seconds)
    found = Load(
        listeners.received_bytes - bytes_before,
        time.monotonic() - began,
        sum(map(cpu_s, pids)) - server_before,
        time.process_time() - client_before,
        listeners.errors,
    )
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    await asyncio.gather(*(channel.close() for channel in channels))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.grpc_load", description=__doc__)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--method", default=PLAY, help="of the service; unary ones too")
    parser.add_argument("--certificate", type=Path, help="of a server that speaks TLS")
    parser.add_argument("--server-pids", required=True, help="whose CPU time is measured: 12,34")
    for name in ("port", "connections", "warm-bytes"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    requests = [bytes.fromhex(line) for line in options.requests.read_text().split()]
    listeners = Listeners(options.port, requests, options.method, options.certificate)
    pids = list(map(int, options.server_pids.split(",")))
    plan = Plan(options.connections, options.warm_bytes, options.seconds)
    found = asyncio.run(_load(listeners, plan, pids))
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
