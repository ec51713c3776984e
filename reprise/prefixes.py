"""Addresses, the networks that they belong to, and what is said of networks. Pure.

Invariants: of all prefixes that hold an address the longest decides; an IPv4 address is the same whether it came as such or
mapped into IPv6.
"""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from reprise.errors import InvalidRequest

Address = IPv4Address | IPv6Address
_ADDRESS_BITS = {4: 32, 6: 128}
# Networks of one version never equal those of the other.
_IPV6 = 1 << 128


def parse_address(text: str) -> Address | None:
    """None when it is no IP address. A zone ("%eth0") says nothing about where somebody is."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def network_of(address: Address) -> int | None:
    """The /24 or /48 of an address, whose hosts share a path; None for loopback, which may be a proxy: no place."""
    if address.is_loopback or address.is_unspecified:
        return None
    return int(address) >> 8 if address.version == 4 else int(address) >> 80 | _IPV6


def household_of(address: Address) -> int:
    """Who cannot speak with several voices: one IPv4 address, or the /64 within which IPv6 hosts choose theirs."""
    return int(address) if address.version == 4 else int(address) >> 64 | _IPV6


class PrefixTable:
    """Prefix -> text, such as a region. A look-up costs one dictionary access per length that occurs."""

    def __init__(self, prefixes: Iterable[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]] = ()) -> None:
        by_shift: dict[int, dict[int, dict[int, str]]] = {4: {}, 6: {}}
        self.count = 0
        for network, text in prefixes:
            shift = _ADDRESS_BITS[network.version] - network.prefixlen
            by_shift[network.version].setdefault(shift, {})[int(network.network_address) >> shift] = text
            self.count += 1
        self._longest_first = {version: sorted(shifts.items()) for version, shifts in by_shift.items()}

    def find(self, address: Address) -> str | None:
        number = int(address)
        for shift, texts in self._longest_first[address.version]:
            text = texts.get(number >> shift)
            if text is not None:
                return text
        return None


def parse_prefix(text: str, what: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A CIDR, or one address as such. Raises InvalidRequest that names `what`."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidRequest(f"{what} must be a CIDR such as 192.0.2.0/24 or 2001:db8::/32: {error}") from None
