"""A running balancer for tests that ask; deadlines off, because property tests here are about logic, not speed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.balancer.stage import Stage, staged

settings.register_profile("reprise", deadline=None)
settings.load_profile("reprise")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A balancer without Valkey and without edges; two songs in its catalog."""
    async with staged(tmp_path) as running:
        yield running
