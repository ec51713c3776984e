"""Which region an operator's CIDR file puts networks in. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from reprise.errors import InvalidRequest
from reprise.ids import check_id
from reprise.prefixes import PrefixTable, parse_prefix

PREFIXES_MAX = 1_000_000


def parse_cidrs(lines: Iterable[str]) -> PrefixTable:
    """Of "CIDR region" lines; "#" begins a comment. Raises InvalidRequest with the number of the line that is wrong."""
    told: dict[IPv4Network | IPv6Network, str] = {}
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2:
            raise InvalidRequest(
                f"line {number}: a prefix and a region, such as '192.0.2.0/24 eu', not {line.strip()[:80]!r}"
            )
        network = parse_prefix(words[0], f"line {number}: the prefix")
        region = check_id(words[1], f"line {number}: the region")
        if told.setdefault(network, region) != region:
            raise InvalidRequest(f"line {number}: {network} is in {told[network]} already, by a line before")
        if len(told) > PREFIXES_MAX:
            raise InvalidRequest(f"line {number}: more than {PREFIXES_MAX} prefixes")
    return PrefixTable(told.items())
