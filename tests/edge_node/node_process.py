"""A real edge of several processes, `python -m edge_node`, in front of a scripted origin in the test's own process."""

import asyncio
import re
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge_node.settings import Settings
from reprise import config, grants
from reprise.engines.ports import free_ports
from reprise.engines.process import Process, Spec
from tests.edge_node.edges import MESH_KEY, SIGNING_KEY, SONG_ID, Audio, listen_grant
from tests.support.mesh import Metrics, parse_metrics

ROOT = Path(__file__).parents[2]
EDGE_ID = "edge-1"
READY_S_MAX = 30.0
RETRIES_MAX = 20


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """A running edge."""

    process: Process
    http_url: str
    grpc_address: str
    log_path: Path
    # What clients trust, when the edge speaks TLS.
    trust: ssl.SSLContext | None = None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to whichever worker the kernel picks."""
        url = urlsplit(self.http_url)
        return await asyncio.open_connection(url.hostname, url.port, limit=64 * 1024, ssl=self.trust)

    def media_path(self, audio: Audio) -> str:
        """With a grant of its own each time."""
        return f"/p/{listen_grant(EDGE_ID, audio)}/{SONG_ID}/{audio.rendition_id}"

    def worker_pids(self) -> list[int]:
        """The processes that the node process has started and that still run."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sorted(int(pid) for task in tasks for pid in (task / "children").read_text().split())

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a page, on a connection of its own: from whichever worker the kernel picks."""
        return await self._ask(f"GET {path} HTTP/1.1", b"")

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """As `get`, for a gRPC-web call."""
        head = f"POST {path} HTTP/1.1\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: {len(body)}"
        return await self._ask(head, body)

    async def _ask(self, head: str, body: bytes) -> tuple[int, bytes]:
        reader, writer = await self.connect()
        try:
            writer.write(f"{head}\r\nHost: edge\r\nConnection: close\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            return int(answer.split(b" ", 2)[1]), await reader.read()
        finally:
            writer.close()

    async def metrics(self) -> Metrics:
        return parse_metrics((await self.get("/metrics"))[1].decode())

    async def until_metric(self, at_least: float, name: str, **labels: str) -> None:
        """Returns when a metric has come to `at_least`."""
        async with asyncio.timeout(READY_S_MAX):
            while (await self.metrics()).sum(name, **labels) < at_least:
                await asyncio.sleep(0.02)

    async def until_ready(self) -> None:
        """Returns when the edge says that it is ready; fails with its log when it ends before."""
        async with asyncio.timeout(READY_S_MAX):
            while True:
                assert self.process.exit_code() is None, self.log()
                try:
                    if (await self.get("/readyz"))[0] == 200:
                        return
                except OSError:
                    pass
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running_node(
    folder: Path, *origins: str, workers: int = 2, trust: ssl.SSLContext | None = None, **settings: object
) -> AsyncIterator[NodeProcess]:
    """An edge of `workers` worker processes, ready. `trust` is for one that speaks TLS."""
    folder.mkdir(parents=True, exist_ok=True)
    key_path, keys_path = folder / "edge.key", folder / "manifest.pub"
    key_path.write_text(grants.derive_key(MESH_KEY, EDGE_ID).hex())
    keys_path.write_text(SIGNING_KEY.public_key().public_bytes_raw().hex())
    grpc_port, http_port = free_ports(2)
    values: dict[str, object] = {
        "edge_id": EDGE_ID,
        "region": "here",
        "edge_key_path": key_path,
        "manifest_keys_path": keys_path,
        "cache_dir": folder / "cache",
        "origins": tuple(origins),
        "grpc_address": f"127.0.0.1:{grpc_port}",
        "http_address": f"127.0.0.1:{http_port}",
        "ram_bytes_max": 64 << 20,
        "disk_bytes_max": 256 << 20,
        "workers": workers,
        "pacing_factor": 0.0,
    }
    configured = Settings(**(values | settings))  # type: ignore[arg-type]
    env = {"PYTHONPATH": str(ROOT), **config.to_environment(configured, "edge_node")}
    argv = (sys.executable, "-m", "edge_node")
    spec = Spec(name="node", argv=argv, cwd=folder, log_path=folder / "node.log", env=env, stop_deadline_s=20.0)
    process = Process(spec)
    try:
        node = NodeProcess(
            process, f"http://127.0.0.1:{http_port}", f"127.0.0.1:{grpc_port}", folder / "node.log", trust
        )
        await node.until_ready()
        yield node
    finally:
        await asyncio.to_thread(process.stop)


class Refused(Exception):
    """The edge's answer was no audio."""


class Client:
    """One HTTP listener who goes on with a Range where a connection broke, as players do."""

    def __init__(self, node: NodeProcess, audio: Audio, path: str = "") -> None:
        self._node = node
        self._path = path or node.media_path(audio)
        self._size = len(audio.data)
        self.status = 0
        self.heard = bytearray()
        self.reconnects = 0
        self.answered = asyncio.Event()
        self.first_byte = asyncio.Event()

    async def listen(self) -> bytes:
        """All bytes. Fails after too many tries."""
        while len(self.heard) < self._size:
            assert self.reconnects <= RETRIES_MAX, "the edge serves no more"
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._connect_and_read()
            if len(self.heard) < self._size:
                self.reconnects += 1
        return bytes(self.heard)

    async def _connect_and_read(self) -> None:
        reader, writer = await self._node.connect()
        try:
            head = f"GET {self._path} HTTP/1.1\r\nHost: edge\r\nRange: bytes={len(self.heard)}-\r\n\r\n"
            writer.write(head.encode())
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.status = int(answer.split(" ", 2)[1])
            self.answered.set()
            if self.status != 206:
                raise Refused(answer)
            length = int(re.search(r"(?i)content-length: (\d+)", answer)[1])  # type: ignore[index]
            assert length == self._size - len(self.heard)
            while len(self.heard) < self._size:
                part = await reader.read(64 * 1024)
                if not part:
                    return
                self.heard += part
                self.first_byte.set()
        finally:
            writer.close()
