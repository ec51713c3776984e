"""A service of toys as a process: `python -m tests.reprise.toy_service`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from reprise.ids import check_id
from reprise.service import App, ServiceSettings, main
from tests.reprise import toy


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    toy_id: str = "t-1"


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    check_id(settings.toy_id, "toy_id")
    yield App(name="toy", settings=settings, servicers=toy.servicers(), registry=CollectorRegistry())


if __name__ == "__main__":
    main("toy", Settings, build)
