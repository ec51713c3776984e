"""What an edge may say of itself."""

from typing import Any

import pytest

from balancer.edges import check_identity
from reprise.errors import InvalidRequest
from tests.balancer.values import identity


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"grpc_address": "edge-1.mesh.example:443"},
        {"grpc_address": "[::1]:7001", "http_url": "http://[::1]:8001"},
        {"http_url": "https://edge.example:8443"},
    ],
)
def test_a_usable_identity_is_taken(changes: dict[str, Any]) -> None:
    assert check_identity(identity(**changes)) == identity(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edge_id": "e 1"}, "edge_id must be"),
        ({"edge_id": "operator"}, "edge_id 'operator' is taken"),
        ({"region": ""}, "region must be"),
        ({"boot_id": ""}, "boot_id must be"),
        ({"grpc_address": "nowhere"}, "grpc_address must look like host:port, not 'nowhere'"),
        ({"grpc_address": "host:0"}, "grpc_address must look like"),
        ({"grpc_address": "host:65536"}, "grpc_address must look like"),
        ({"grpc_address": "host:80\n"}, "grpc_address must look like"),
        ({"http_url": "127.0.0.1:80"}, "http_url must look like http://host:port"),
        ({"http_url": "http://a:80/path"}, "http_url must look like"),
        ({"http_url": "javascript:alert(1)"}, "http_url must look like"),
        ({"nic_capacity_bps": 0}, "must be at least 1, not 0 and 1000"),
        ({"stream_limit": 0}, "must be at least 1"),
    ],
)
def test_an_unusable_field_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        check_identity(identity(**changes))
