"""Addresses and prefixes: the longest decides, and a wrong line is named."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.geography.prefixes import PrefixTable, household_of, network_of, parse_address, parse_cidrs
from reprise.errors import InvalidRequest

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


def test_a_file_has_comments_blank_lines_both_families_and_single_addresses() -> None:
    table = parse_cidrs(["# ours", "", "192.0.2.0/24 eu  # Berlin", "192.0.2.7 us", "\t2001:db8::/32\tasia"])
    found = {text: table.find(ipaddress.ip_address(text)) for text in ("192.0.2.8", "192.0.2.7", "2001:db8::1", "::1")}
    assert found == {"192.0.2.8": "eu", "192.0.2.7": "us", "2001:db8::1": "asia", "::1": None}
    assert table.count == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("192.0.2.0/24", "line 2: a prefix and a region, such as '192.0.2.0/24 eu', not '192.0.2.0/24'"),
        ("192.0.2.1/24 eu", "line 2: the prefix must be a CIDR .*host bits set"),
        ("192.0.2.0/33 eu", "line 2: the prefix must be a CIDR"),
        ("berlin eu", "line 2: the prefix must be a CIDR"),
        ("192.0.2.0/24 e!u", "line 2: the region must be"),
        ("10.0.0.0/8 us", "line 2: 10.0.0.0/8 is in eu already"),
    ],
)
def test_a_wrong_line_is_named(line: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_cidrs(["10.0.0.0/8 eu", line])


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
