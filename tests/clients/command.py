"""Runs a client as a process while the edge goes on in this one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from tests.edge_node.edges import get

DEADLINE_S = 30.0


class HasHttp(Protocol):
    """Whatever serves /metrics."""

    http_url: str


@dataclass(frozen=True)
class Done:
    """What a client left."""

    code: int
    out: bytes
    err: str


async def run(*argv: str) -> Done:
    """Runs a command to its end."""
    async with started(*argv) as process:
        out, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode is not None
    return Done(process.returncode, out, err.decode(errors="replace"))


@asynccontextmanager
async def started(*argv: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running command; it does not outlive the context."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def gauge(edge: HasHttp, name: str) -> float:
    """One sample without labels, as a scraper reads it."""
    lines = (await get(f"{edge.http_url}/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def free_within(edge: HasHttp, deadline_s: float) -> None:
    """Returns when the edge says that it holds no stream; fails at the deadline."""
    async with asyncio.timeout(deadline_s):
        while await gauge(edge, "reprise_edge_streams"):
            await asyncio.sleep(0.02)
