"""The address that a caller has, also behind proxies. Pure.

What a header says counts only where the connection comes from a proxy that the operator trusts, and then only up to the first
hop, read from the right, that is no such proxy: whatever is left of it anybody can have written.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import unquote

from reprise.http_message import Request
from reprise.prefixes import PrefixTable, parse_address, parse_prefix

HEADER = "x-forwarded-for"
HOPS_MAX = 32
ADDRESSES_MAX = 4_096
_TRUSTED = "trusted"


class Clients:
    """Finds addresses, as texts; empty where there is none, as on a Unix socket."""

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        """Raises InvalidRequest that names what is no CIDR."""
        networks: list[IPv4Network | IPv6Network] = [parse_prefix(cidr, "trusted_proxies") for cidr in trusted_proxies]
        self._proxies = PrefixTable((network, _TRUSTED) for network in networks)
        # The proxies' own addresses come with every request.
        self._is_proxy = lru_cache(ADDRESSES_MAX)(self._find_proxy)

    def of_call(self, context: Any) -> str:
        """The caller of an RPC, by gRPC or gRPC-web."""
        return self._client(address_of_peer(context.peer()), lambda: _header(context))

    def of_request(self, request: Request) -> str:
        return self._client(request.peer, lambda: request.headers.get(HEADER, ""))

    def _client(self, peer: str, header: Callable[[], str]) -> str:
        # Metadata and headers are made anew for whoever asks: without proxies nobody does.
        if not self._proxies.count or not self._is_proxy(peer):
            return peer
        client = peer
        for hop in reversed(header().rsplit(",", HOPS_MAX)[-HOPS_MAX:]):
            address = _without_port(hop.strip())
            is_proxy = self._is_proxy(address)
            if is_proxy is None:
                break
            client = address
            if not is_proxy:
                break
        return client

    def _find_proxy(self, address: str) -> bool | None:
        """None for what is no address."""
        parsed = parse_address(address)
        return None if parsed is None else self._proxies.find(parsed) is not None


def address_of_peer(peer: str) -> str:
    """Of what gRPC names a peer: "ipv4:192.0.2.1:50051", "ipv6:%5B2001:db8::1%5D:50051", "unix:/path"; gRPC-web an address."""
    family, _, rest = peer.partition(":")
    if family == "ipv4":
        return rest.rpartition(":")[0]
    if family == "ipv6":
        return unquote(rest).rpartition(":")[0].strip("[]")
    return "" if family == "unix" else peer


def _header(context: Any) -> str:
    """Of repeated headers the later ones were added by the nearer proxies."""
    return ",".join(value for key, value in context.invocation_metadata() or () if key == HEADER)


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
