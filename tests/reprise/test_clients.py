"""Whom an address belongs to: only trusted proxies may say it of others."""

from collections.abc import Callable

import pytest

from reprise.clients import Clients, address_of_peer
from reprise.errors import InvalidRequest
from reprise.grpc_web_context import Context
from reprise.http_message import Request

PROXIES = ("10.0.0.0/8", "2001:db8:aaaa::/48")


def by_http(peer: str, header: str, proxies: tuple[str, ...] = PROXIES) -> str:
    headers = [(b"X-Forwarded-For", part.encode()) for part in header.split("|") if part]
    return Clients(proxies).of_request(Request("GET", "/", "", headers, b"", peer))


def by_grpc_web(peer: str, header: str, proxies: tuple[str, ...] = PROXIES) -> str:
    metadata = tuple(("x-forwarded-for", part) for part in header.split("|") if part)
    return Clients(proxies).of_call(Context(metadata, peer, None))


@pytest.mark.parametrize("client", [by_http, by_grpc_web])
@pytest.mark.parametrize(
    ("peer", "header", "expected"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.9", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("::ffff:10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.9, 10.0.0.2", "198.51.100.9"),
        ("10.0.0.1", "203.0.113.5|198.51.100.9|10.0.0.2", "198.51.100.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.5, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.9:4711", "198.51.100.9"),
        ("2001:db8:aaaa::1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", ",".join(["203.0.113.5"] + ["10.0.0.2"] * 40), "10.0.0.2"),
        ("", "198.51.100.9", ""),
    ],
)
def test_the_rightmost_hop_that_is_no_trusted_proxy_is_the_client(
    client: Callable[[str, str], str], peer: str, header: str, expected: str
) -> None:
    assert client(peer, header) == expected


@pytest.mark.parametrize("client", [by_http, by_grpc_web])
def test_without_trusted_proxies_no_header_counts(client: Callable[[str, str, tuple[str, ...]], str]) -> None:
    assert client("10.0.0.1", "198.51.100.9", ()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50051", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:50051", "2001:db8::1"),
        ("ipv6:[::1]:50051", "::1"),
        ("unix:/run/balancer", ""),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
    ],
)
def test_an_address_is_found_in_what_grpc_calls_a_peer(peer: str, address: str) -> None:
    assert address_of_peer(peer) == address


def test_a_proxy_that_is_no_network_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"trusted_proxies must be a CIDR .*'proxy'"):
        Clients(["proxy"])
