"""What a load generator found out about a server while both were at work."""

from dataclasses import dataclass

WARM_S, WARM_S_MAX, POLL_S = 0.4, 30.0, 0.02


class LoadFailed(Exception):
    """The load generator did not do its work, or a server gave something else than what was asked for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a load goes: first `warm_bytes` over all `connections` and at least WARM_S, then `seconds` that count."""

    connections: int
    warm_bytes: int
    seconds: float

    def warm(self, received_bytes: int, passed_s: float) -> bool:
        """Whether what counts may begin. Raises LoadFailed when it should have long ago."""
        if passed_s > WARM_S_MAX:
            got = f"{received_bytes} of {self.warm_bytes} bytes"
            raise LoadFailed(f"{got} came over {self.connections} connections within {WARM_S_MAX:.0f} s")
        return received_bytes >= self.warm_bytes and passed_s >= WARM_S


@dataclass(frozen=True, slots=True)
class Load:
    """One stretch of steady load: who connected before it and what is under way after it count for nothing.

    `received_bytes` is what the client read: of HTTP all bytes of the connections, of gRPC those of the messages. `errors` are
    of the whole run.
    """

    received_bytes: int
    seconds: float
    server_cpu_s: float
    client_cpu_s: float
    errors: int
