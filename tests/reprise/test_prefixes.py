"""Addresses and prefixes: the longest decides."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from reprise.prefixes import PrefixTable, household_of, network_of, parse_address

# Few bits differ, so that prefixes lie within one another and addresses within prefixes.
V4 = st.integers(0, 255).map(lambda bits: (bits >> 4) << 28 | (bits & 15) << 2)
V6 = st.integers(0, 255).map(lambda bits: (bits >> 4) << 124 | (bits & 15) << 2)
NETWORKS = st.one_of(
    st.tuples(V4, st.integers(0, 32)).map(lambda pair: ipaddress.IPv4Network(pair, strict=False)),
    st.tuples(V6, st.integers(0, 128)).map(lambda pair: ipaddress.IPv6Network(pair, strict=False)),
)
ADDRESSES = st.one_of(V4.map(ipaddress.IPv4Address), V6.map(ipaddress.IPv6Address))


@given(st.dictionaries(NETWORKS, st.sampled_from(["eu", "us", "asia"]), max_size=12), ADDRESSES)
def test_the_longest_prefix_that_holds_an_address_decides(
    told: dict[ipaddress.IPv4Network | ipaddress.IPv6Network, str],
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    holding = [network for network in told if address in network]
    expected = told[max(holding, key=lambda network: network.prefixlen)] if holding else None
    assert PrefixTable(told.items()).find(address) == expected


def test_ipv4_is_the_same_mapped_into_ipv6() -> None:
    assert parse_address("::ffff:192.0.2.1") == parse_address("192.0.2.1")
    assert parse_address("fe80::1%eth0") == ipaddress.ip_address("fe80::1")
    assert parse_address("nobody") is None


def test_networks_are_24_and_48_bits_and_never_meet_across_families() -> None:
    def network(text: str) -> int | None:
        return network_of(ipaddress.ip_address(text))

    assert network("192.0.2.1") == network("192.0.2.255") != network("192.0.3.1")
    assert network("2001:db8:1::1") == network("2001:db8:1:ffff::1") != network("2001:db8:2::1")
    assert network("0.0.1.1") != network("0:0:1::1")
    assert network("127.0.0.1") is network("::1") is None


def test_a_household_is_an_ipv4_address_or_a_64() -> None:
    def household(text: str) -> int:
        return household_of(ipaddress.ip_address(text))

    assert household("2001:db8::1") == household("2001:db8::ffff:1") != household("2001:db8:0:1::1")
    assert household("192.0.2.1") != household("192.0.2.2")
