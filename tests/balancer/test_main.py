"""A balancer as it is started: settings named when wrong, figures on its metrics page."""

from dataclasses import replace
from pathlib import Path

import pytest

from balancer.__main__ import build
from balancer.settings import Settings
from reprise.config import ConfigError, load
from tests.balancer.stage import Stage, settings


def test_settings_come_from_the_environment_and_a_missing_one_is_named() -> None:
    environ = {
        "REPRISE_BALANCER_BALANCER_ID": "b1",
        "REPRISE_BALANCER_CATALOG_ADDRESS": "127.0.0.1:1",
        "REPRISE_BALANCER_MESH_KEY_PATH": "/mesh.key",
    }
    with pytest.raises(ConfigError, match="'default_region' is missing: set REPRISE_BALANCER_DEFAULT_REGION"):
        load(Settings, "balancer", environ=environ)
    loaded = load(Settings, "balancer", environ={**environ, "REPRISE_BALANCER_DEFAULT_REGION": "a"})
    assert (loaded.balancer_id, loaded.default_region, loaded.valkey_url) == ("b1", "a", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"balancer_id": "no spaces"}, "balancer_id must be"),
        ({"default_region": ""}, "default_region must be"),
        ({"catalog_address": "catalog"}, "catalog_address must look like host:port, not 'catalog'"),
        ({"mesh_key_path": Path("/nowhere/mesh.key")}, "mesh_key_path: cannot read /nowhere/mesh.key"),
        ({"mesh_key_path": Path(__file__)}, "must hold 64 hex digits"),
        ({"valkey_url": "valkey"}, "valkey_url is not"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        async with build(replace(settings(tmp_path, "127.0.0.1:1"), **changes)):  # type: ignore[arg-type]
            pass


async def test_the_mesh_and_the_decisions_are_on_the_metrics_page(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    await stage.route()
    lines = (await stage.fetch("/metrics")).body.decode().splitlines()
    assert 'reprise_balancer_edges{state="ready"} 1.0' in lines
    assert 'reprise_balancer_decisions_total{reason="replica"} 1.0' in lines
    assert 'reprise_balancer_catalog_lookups_total{result="fetched"} 1.0' in lines
    assert "reprise_balancer_pending_grants 1.0" in lines
