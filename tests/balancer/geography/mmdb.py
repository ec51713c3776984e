"""Writes small databases in MaxMind's format, version 2.0 (https://maxmind.github.io/MaxMind-DB/): 24-bit records, IPv4."""

import struct
from ipaddress import IPv4Network
from pathlib import Path

# Bytes are a value that is encoded already.
Value = str | float | bytes | dict[str, "Value"] | list["Value"]
_STRING, _DOUBLE, _UINT16, _UINT32, _MAP, _UINT64, _ARRAY = 2, 3, 5, 6, 7, 9, 11


def write(path: Path, records: dict[str, Value], database_type: str = "Test-City") -> Path:
    """A database of the record of each CIDR; no CIDR lies in another."""
    data, offsets = b"", {}
    for cidr, record in records.items():
        offsets[cidr] = len(data)
        data += _encoded(record)
    # A child is a number of a node, a CIDR, or None.
    nodes: list[list[int | str | None]] = [[None, None]]
    for cidr in records:
        network = IPv4Network(cidr)
        bits = [int(network.network_address) >> 31 - depth & 1 for depth in range(network.prefixlen)]
        at = 0
        for bit in bits[:-1]:
            if nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = len(nodes) - 1
            child = nodes[at][bit]
            assert isinstance(child, int)
            at = child
        nodes[at][bits[-1]] = cidr

    def number(child: int | str | None) -> int:
        if isinstance(child, str):
            return len(nodes) + 16 + offsets[child]
        return len(nodes) if child is None else child

    tree = b"".join(number(child).to_bytes(3) for node in nodes for child in node)
    metadata: Value = {
        "node_count": _unsigned(_UINT32, len(nodes)), "record_size": _unsigned(_UINT16, 24),
        "ip_version": _unsigned(_UINT16, 4), "database_type": database_type, "languages": [],
        "binary_format_major_version": _unsigned(_UINT16, 2), "binary_format_minor_version": _unsigned(_UINT16, 0),
        "build_epoch": _unsigned(_UINT64, 1), "description": {"en": "a test"},
    }  # fmt: skip
    path.write_bytes(tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + _encoded(metadata))
    return path


def _encoded(value: Value) -> bytes:
    if isinstance(value, str):
        return _control(_STRING, len(value)) + value.encode()
    if isinstance(value, float):
        return _control(_DOUBLE, 8) + struct.pack(">d", value)
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return _control(_MAP, len(value)) + b"".join(_encoded(key) + _encoded(item) for key, item in value.items())
    return _control(_ARRAY, len(value)) + b"".join(_encoded(item) for item in value)


def _unsigned(kind: int, value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8)
    return _control(kind, len(digits)) + digits


def _control(kind: int, size: int) -> bytes:
    assert size < 29, "longer ones need more bytes"
    return bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])
