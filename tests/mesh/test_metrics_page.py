"""docs/metrics.md and the running services name the same metrics."""

import re
import urllib.request
from pathlib import Path

from tests.support.mesh import TestMesh

DOC = Path(__file__).parents[2] / "docs" / "metrics.md"


def exposed(http: str) -> set[tuple[str, str]]:
    with urllib.request.urlopen(f"{http}/metrics", timeout=10) as answer:
        found = re.findall(r"^# TYPE (\S+) (\S+)$", answer.read().decode(), re.MULTILINE)
    return {(name, kind) for name, kind in found if not name.endswith("_created")}


def test_every_metric_is_documented_and_every_documented_metric_exists(mesh: TestMesh) -> None:
    value = mesh.json
    services = {
        "catalog": value["catalog"],
        "indexer": value["indexer"],
        "origin": value["origin"][0],
        "balancer": value["balancer"][0],
        "edge": value["edges"][0],
    }
    rows = re.findall(r"^\| `(\S+)` \| (\w+) \|", DOC.read_text(), re.MULTILINE)
    documented = {
        (name.replace("<service>", service), kind)
        for name, kind in rows
        for service in (services if "<service>" in name else [""])
    }
    assert documented == {metric for entry in services.values() for metric in exposed(entry["http"])}
