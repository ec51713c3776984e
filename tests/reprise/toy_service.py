"""A service of toys as a process: `python -m tests.reprise.toy_service`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from reprise.service import App, ServiceSettings, main
from tests.reprise import toy


@asynccontextmanager
async def build(settings: ServiceSettings) -> AsyncIterator[App]:
    yield App(name="toy", settings=settings, servicers=toy.servicers(), registry=CollectorRegistry())


if __name__ == "__main__":
    main("toy", ServiceSettings, build)
