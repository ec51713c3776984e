"""An edge in front of a scripted origin, for every test that asks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.edge_node.edges import Edge, ScriptedOrigin, running_edge, scripted_origin


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with scripted_origin() as servicer:
        yield servicer


@pytest.fixture
async def edge(origin: ScriptedOrigin, tmp_path: Path) -> AsyncIterator[Edge]:
    async with running_edge(tmp_path, "edge-1", origin.address) as running:
        yield running
