"""The session of a mesh's folder: `reprise login` makes it, other commands send its token, `reprise logout` ends it.

Kept in `session.json`, and what this device is known by in `device.json`, which outlives sessions: both 0600. Two commands may
refresh at once, because the catalog gives both the same answer.
"""

import json
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import grpc

from reprise import rpc, tracing
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1.catalog_service_pb2_grpc import SessionServiceStub
from reprise.cli import mesh_file
from reprise.cli.folder import Folder, write_whole
from reprise.cli.mesh_file import Mesh
from reprise.errors import NotReady, Unauthenticated, Unavailable

if TYPE_CHECKING:  # the generated class exists for type checkers only
    from reprise.catalog.v1.catalog_service_pb2_grpc import SessionServiceAsyncStub

DEADLINE_S = 10
# A token that lives no longer than this is replaced before it is used.
MARGIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a session; `name` is empty for a device without an account."""

    name: str
    user_id: str
    access_token: str
    access_expires_unix_ms: int
    refresh_token: str


class Login:
    """The folder's session, if there is one."""

    def __init__(self, folder: Folder, mesh: Mesh) -> None:
        self._folder = folder
        self._mesh = mesh

    async def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with a call: the session's token, and the trace that is under way."""
        kept = _read(self._folder)
        if kept is not None and kept.access_expires_unix_ms - MARGIN_MS <= time.time() * 1000:
            kept = await self._refreshed(kept)
        return tracing.outgoing() if kept is None else rpc.bearer_metadata(kept.access_token)

    async def _refreshed(self, kept: Kept) -> Kept | None:
        request = pb.RefreshSessionRequest(refresh_token=kept.refresh_token)
        try:
            async with _catalog(self._mesh) as stub:
                answer = await stub.RefreshSession(request, timeout=DEADLINE_S)
        except Unauthenticated as ended:
            # Whoever needs no session goes on without one.
            sys.stderr.write(f"{ended.message}\n")
            self._folder.session.unlink(missing_ok=True)
            return None
        except Unavailable:
            return kept
        return _keep(self._folder, kept.name, answer.session)


async def log_in(folder: Folder, name: str, password: str, *, as_json: bool) -> None:
    """With a password, or without a name as this device. Raises `reprise.errors`."""
    mesh = mesh_file.read(folder)
    device_id, secret = _device(folder)
    request = pb.CreateSessionRequest(device_id=device_id, device_name="reprise command")
    if name:
        request.password.CopyFrom(pb.PasswordLogin(name=name, password=password))
    else:
        request.device.secret = secret
    async with _catalog(mesh) as stub:
        answer = await stub.CreateSession(request, timeout=DEADLINE_S)
    kept = _keep(folder, name, answer.session)
    _tell({"user_id": kept.user_id, "name": name}, f"logged in as {name or 'this device'}", as_json=as_json)


async def log_out(folder: Folder, *, as_json: bool) -> None:
    """Ends the session here and at the catalog. Raises NotReady without one."""
    kept = _read(folder)
    if kept is None:
        raise NotReady("nobody is logged in: `reprise login` does that")
    async with _catalog(mesh_file.read(folder)) as stub:
        with suppress(Unauthenticated):
            await stub.EndSession(pb.EndSessionRequest(refresh_token=kept.refresh_token), timeout=DEADLINE_S)
    folder.session.unlink(missing_ok=True)
    _tell({"user_id": kept.user_id, "name": kept.name}, "logged out", as_json=as_json)


@asynccontextmanager
async def _catalog(mesh: Mesh) -> "AsyncIterator[SessionServiceAsyncStub]":
    async with rpc.channel(mesh.catalog.grpc) as channel:
        try:
            yield SessionServiceStub(channel)
        except grpc.aio.AioRpcError as error:
            raise rpc.error_of(error, f"catalog {mesh.catalog.grpc}") from None


def _device(folder: Folder) -> tuple[str, str]:
    """This device's id and secret, made at the first login."""
    if not folder.device.exists():
        made = {"device_id": f"command-{secrets.token_hex(8)}", "secret": secrets.token_urlsafe(32)}
        write_whole(folder.device, json.dumps(made) + "\n")
    value = json.loads(folder.device.read_text())
    return value["device_id"], value["secret"]


def _keep(folder: Folder, name: str, session: pb.Session) -> Kept:
    kept = Kept(
        name=name,
        user_id=session.user_id,
        access_token=session.access_token,
        access_expires_unix_ms=session.access_expires_unix_ms,
        refresh_token=session.refresh_token,
    )
    write_whole(folder.session, json.dumps(asdict(kept)) + "\n")
    return kept


def _read(folder: Folder) -> Kept | None:
    try:
        return Kept(**json.loads(folder.session.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise NotReady(f"{folder.session} is damaged: remove it and log in again") from None


def _tell(value: dict[str, str], line: str, *, as_json: bool) -> None:
    sys.stdout.write((json.dumps(value, ensure_ascii=False) if as_json else line) + "\n")
