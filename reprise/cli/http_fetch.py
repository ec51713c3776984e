"""One HTTP/1.1 request to an edge, its body as it comes: bounded heads, fixed-length and chunked bodies, one connection each.

Waits are bounded by the caller, who knows how long a song may stand still. Every way a server can break off is Unavailable.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from reprise import errors, rpc
from reprise.errors import RepriseError, Unavailable

PIECE_BYTES = 64 * 1024
REASON_BYTES_MAX = 400
# A slow listener leaves the rest with the edge, instead of a whole song in this machine's kernel.
RECEIVE_BUFFER_BYTES = 256 * 1024
HEADER_LINES_MAX = 100
_ERROR_OF = {status: error for error, status in reversed(rpc.HTTP_STATUS.items())}


class NotReached(Unavailable):
    """There was not even a connection."""


@dataclass(slots=True)
class Answer:
    """The head of a response, and the way to its body. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    _reader: asyncio.StreamReader

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The body, piece by piece. Raises Unavailable when it ends before its announced length, if it has one."""
        with _broken():
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                while size := int((await self._reader.readline()).split(b";")[0], 16):
                    async for piece in self._exactly(size):
                        yield piece
                    await self._reader.readline()
            elif "content-length" in self.headers:
                async for piece in self._exactly(int(self.headers["content-length"])):
                    yield piece
            else:  # we asked for one answer per connection, so its end may be the body's
                while piece := await self._reader.read(PIECE_BYTES):
                    yield piece

    async def refusal(self) -> RepriseError:
        """What a status other than the wanted one means, with the server's own words."""
        words = b""
        with suppress(Unavailable):
            async for piece in self.body():
                words += piece
                if len(words) >= REASON_BYTES_MAX:
                    break
        text = words[:REASON_BYTES_MAX].decode(errors="replace").strip()
        return _ERROR_OF.get(self.status, errors.Unavailable)(text or f"HTTP status {self.status}")

    async def _exactly(self, count: int) -> AsyncIterator[bytes]:
        while count:
            piece = await self._reader.read(min(count, PIECE_BYTES))
            if not piece:
                raise Unavailable("the edge broke off in mid-stream")
            count -= len(piece)
            yield piece


@asynccontextmanager
async def request(method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> AsyncIterator[Answer]:
    """Sends a request; the connection lives as long as the context. Raises Unavailable when there is no answer."""
    parts = urlsplit(url)
    with _broken(NotReached):
        reader, writer = await _connect(parts.hostname or "", parts.port or 80)
    try:
        with _broken():
            all_headers = {"host": parts.netloc, "connection": "close", "content-length": str(len(body)), **headers}
            lines = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            writer.write(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body)
            await writer.drain()
            answer = await _head(reader)
        yield answer
    finally:
        writer.close()


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    connection = socket.socket(found[0][0], socket.SOCK_STREAM)
    try:
        # Before connecting, or it does not bound the window.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        connection.setblocking(False)
        await loop.sock_connect(connection, found[0][4])
        return await asyncio.open_connection(sock=connection, limit=2 * PIECE_BYTES)
    except BaseException:
        connection.close()
        raise


async def _head(reader: asyncio.StreamReader) -> Answer:
    version, status, *_reason = (await reader.readline()).split(b" ", 2)
    if not version.startswith(b"HTTP/1."):
        raise ValueError("not HTTP/1")
    headers: dict[str, str] = {}
    for _line in range(HEADER_LINES_MAX):
        line = (await reader.readline()).decode("latin-1").strip()
        if not line:
            return Answer(int(status), headers, reader)
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    raise ValueError("too many headers")


@contextmanager
def _broken(kind: type[Unavailable] = Unavailable) -> Iterator[None]:
    """Turns what a broken connection raises into `kind`, and a malformed answer into Unavailable."""
    try:
        yield
    except OSError as error:
        raise kind(f"no connection: {error.strerror or type(error).__name__}") from None
    except ValueError:
        raise Unavailable("the edge's answer is not HTTP, or it broke off") from None
