"""One edge in front of a scripted origin, and the clients that are run against it as processes of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients import tools
from tests.edge_node.edges import Edge, ScriptedOrigin, running_edge, scripted_origin


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with scripted_origin() as servicer:
        yield servicer


@pytest.fixture
async def edge(origin: ScriptedOrigin, tmp_path: Path) -> AsyncIterator[Edge]:
    async with running_edge(tmp_path / "edge", "edge-1", origin.address) as running:
        yield running


@pytest.fixture(scope="session")
def curl() -> str:
    return tools.program("curl", "curl")


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    return tools.program("ffmpeg", "ffmpeg")


@pytest.fixture(scope="session")
def ffprobe() -> str:
    return tools.program("ffprobe", "ffmpeg")


@pytest.fixture(scope="session")
def node() -> str:
    return tools.node()
