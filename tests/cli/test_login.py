"""The session of a mesh's folder: renewed in time, given up when it ended, and never in anybody's way."""

import json
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from reprise import rpc
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1 import catalog_service_pb2_grpc as stubs
from reprise.cli.folder import Folder
from reprise.cli.login import Kept, Login
from reprise.cli.mesh_file import Mesh, Place
from reprise.errors import NotReady, RepriseError, Unauthenticated, Unavailable


class Catalog(stubs.SessionServiceServicer):
    """Refreshes every session, unless told to fail."""

    def __init__(self) -> None:
        self.refreshed: list[str] = []
        self.error: RepriseError | None = None

    async def RefreshSession(self, request: pb.RefreshSessionRequest, context: Any) -> pb.RefreshSessionResponse:
        if self.error:
            raise self.error
        self.refreshed.append(request.refresh_token)
        session = pb.Session(
            user_id="ada", access_token="new", access_expires_unix_ms=unix_ms() + 900_000, refresh_token="next"
        )
        return pb.RefreshSessionResponse(session=session)


def unix_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
async def login(folder: Folder, catalog: Catalog) -> AsyncIterator[Login]:
    server = rpc.server(rpc.RpcMetrics("catalog", CollectorRegistry()))
    stubs.add_SessionServiceServicer_to_server(catalog, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    place = Place("catalog", f"127.0.0.1:{port}", "", 0)
    yield Login(folder, Mesh(place, (), (), (), "", place))
    await server.stop(None)


def keep(folder: Folder, *, lives_ms: int) -> None:
    kept = Kept("Ada", "ada", "old", unix_ms() + lives_ms, "refresh")
    folder.session.write_text(json.dumps(asdict(kept)))


async def token(login: Login) -> str:
    return dict(await login.metadata()).get("authorization", "")


async def test_who_is_not_logged_in_sends_no_token(login: Login) -> None:
    assert await token(login) == ""


async def test_a_token_is_sent_until_it_is_about_to_expire(login: Login, catalog: Catalog, folder: Folder) -> None:
    keep(folder, lives_ms=300_000)
    assert await token(login) == "Bearer old"
    assert catalog.refreshed == []


async def test_a_token_about_to_expire_is_replaced_before_it_is_used(
    login: Login, catalog: Catalog, folder: Folder
) -> None:
    keep(folder, lives_ms=30_000)
    assert await token(login) == "Bearer new"
    assert await token(login) == "Bearer new"
    assert catalog.refreshed == ["refresh"]
    kept = json.loads(folder.session.read_text())
    assert (kept["name"], kept["refresh_token"]) == ("Ada", "next")
    assert stat.S_IMODE(folder.session.stat().st_mode) == 0o600


async def test_a_session_that_ended_is_forgotten_and_said_so(
    login: Login, catalog: Catalog, folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(folder, lives_ms=0)
    catalog.error = Unauthenticated("the session has ended: log in again")
    assert await token(login) == ""
    assert not folder.session.exists()
    assert capsys.readouterr().err == "the session has ended: log in again\n"


async def test_while_the_catalog_is_away_the_old_token_must_do(login: Login, catalog: Catalog, folder: Folder) -> None:
    keep(folder, lives_ms=30_000)
    catalog.error = Unavailable("the database does not answer")
    assert await token(login) == "Bearer old"
    assert folder.session.exists()


async def test_a_damaged_file_is_named(login: Login, folder: Folder) -> None:
    folder.session.write_text("{")
    with pytest.raises(NotReady, match=r"session\.json is damaged"):
        await login.metadata()
