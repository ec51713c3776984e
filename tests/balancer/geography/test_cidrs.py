"""The operator's file: a wrong line is named."""

import ipaddress

import pytest

from balancer.geography.cidrs import parse_cidrs
from reprise.errors import InvalidRequest


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
