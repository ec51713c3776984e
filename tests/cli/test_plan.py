"""What a mesh on one machine consists of."""

import itertools
from pathlib import Path

import pytest

from balancer.settings import Settings as BalancerSettings
from catalog.indexer.settings import Settings as IndexerSettings
from catalog.settings import Settings as CatalogSettings
from edge_node.settings import Settings as EdgeSettings
from origin.ingest.settings import Settings as IngestSettings
from origin.settings import Settings as OriginSettings
from reprise import config
from reprise.cli.folder import Folder
from reprise.cli.plan import Backends, Shape, ingest_environment, services
from reprise.errors import InvalidRequest

FOLDER = Folder(Path("/somewhere"))
BACKENDS = Backends("postgresql://x", "redis://x", "http://s3")
SETTINGS = {
    "catalog": CatalogSettings,
    "catalog.indexer": IndexerSettings,
    "origin": OriginSettings,
    "balancer": BalancerSettings,
    "edge_node": EdgeSettings,
}


def planned(shape: Shape):
    ports = dict(zip(shape.port_names(), itertools.count(2000)))
    return services(shape, FOLDER, ports, BACKENDS)


def test_every_service_understands_every_setting_that_it_is_told() -> None:
    for service in planned(Shape(edges=2, origins=2, balancers=2)):
        settings_class = SETTINGS[service.module]
        prefix = service.module.rpartition(".")[2]
        settings = config.load(settings_class, prefix, environ=service.env)
        assert settings.grpc_address == service.grpc
        known = {f"REPRISE_{prefix}_{name}".upper() for name in settings_class.__dataclass_fields__}
        assert set(service.env) <= known, service.name


def test_the_import_understands_every_setting_that_it_is_told() -> None:
    environment = ingest_environment(FOLDER, "127.0.0.1:1", "http://s3")
    settings = config.load(IngestSettings, "ingest", environ=environment)
    assert settings.operator_key_path == FOLDER.secret("operator.key")
    assert {name.removeprefix("REPRISE_INGEST_").lower() for name in environment} <= set(settings.__dataclass_fields__)


def test_edges_know_every_balancer_and_origin() -> None:
    plan = {service.name: service for service in planned(Shape(edges=1, origins=2, balancers=2))}
    edge = config.load(EdgeSettings, "edge_node", environ=plan["edge-1"].env)
    assert edge.balancers == (plan["balancer-1"].grpc, plan["balancer-2"].grpc)
    assert edge.origins == (plan["origin-1"].grpc, plan["origin-2"].grpc)


def test_regions_take_turns() -> None:
    shape = Shape(edges=5, regions=("a", "b"))
    assert [shape.region_of(name) for name in shape.edge_names] == ["a", "b", "a", "b", "a"]


def test_no_two_things_share_a_port_name() -> None:
    names = Shape(edges=3, origins=2, balancers=2).port_names()
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ({"edges": 0}, "--edges 0"),
        ({"origins": 65}, "--origins 65"),
        ({"regions": ()}, "--regions"),
        ({"regions": ("a", "a")}, "'a,a'"),
        ({"regions": ("a b",)}, "'a b'"),
        ({"nic_bps": 999}, "--nic-bps 999"),
        ({"pacing": 0.5}, "--pacing 0.5"),
    ],
)
def test_a_wrong_shape_is_refused_by_the_option_and_value(shape: dict, named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        Shape(**shape)
