"""What a servicer method may ask of its call and say about it when the call came over gRPC-web.

The part of grpc.aio.ServicerContext that means something for one request and its answer. Response headers of the
method's own are not among it: the head of a stream leaves before the method runs.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import grpc

from reprise.grpc_web_frames import Metadata, check_metadata


class Context:
    """One call. `status`, `message` and `trailers` are what its answer ends with."""

    def __init__(self, metadata: Metadata, peer: str, timeout_s: float | None) -> None:
        self.status = grpc.StatusCode.OK
        self.message = ""
        self.trailers: Metadata = ()
        # Sends one message of a stream and waits until there is room for the next; only streams have it.
        self.send: Callable[[Any], Awaitable[None]] | None = None
        self._metadata = metadata
        self._peer = peer
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def invocation_metadata(self) -> Metadata:
        """The caller's metadata, keys in lower case."""
        return self._metadata

    def peer(self) -> str:
        """The address of the other end of the connection."""
        return self._peer

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """Replaces the metadata that ends the answer. Raises ValueError when it cannot stand in headers."""
        self.trailers = check_metadata(metadata)

    def trailing_metadata(self) -> Metadata:
        return self.trailers

    def set_code(self, code: grpc.StatusCode) -> None:
        self.status = code

    def code(self) -> grpc.StatusCode:
        return self.status

    def set_details(self, details: str) -> None:
        self.message = details

    def details(self) -> str:
        return self.message

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Sequence[tuple[str, str | bytes]] = ()
    ) -> NoReturn:
        """Ends the call with `code` by raising grpc.aio.AbortError."""
        self.fail(code, details, trailing_metadata or self.trailers)
        raise grpc.aio.AbortError(details)

    def fail(
        self, code: grpc.StatusCode, details: str, trailing_metadata: Sequence[tuple[str, str | bytes]] = ()
    ) -> None:
        """Says what the answer ends with."""
        self.set_trailing_metadata(trailing_metadata)
        self.status, self.message = code, details

    async def write(self, message: Any) -> None:
        """Sends one message, for methods that are no generators."""
        assert self.send is not None, "a unary method returns its answer"
        await self.send(message)
