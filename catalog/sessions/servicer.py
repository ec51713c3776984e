"""SessionService: parses, calls, answers."""

from typing import Any

from catalog.sessions import wire
from catalog.sessions.credentials import check_name, check_password, check_secret
from catalog.sessions.logins import Logins
from catalog.sessions.sessions import Sessions
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1 import catalog_service_pb2_grpc as pb_grpc
from reprise.clients import Clients


class SessionServicer(pb_grpc.SessionServiceServicer):
    """What each method does and how it fails is written in the proto."""

    def __init__(self, logins: Logins, sessions: Sessions, clients: Clients) -> None:
        self._logins = logins
        self._sessions = sessions
        self._clients = clients

    async def CreateSession(self, request: pb.CreateSessionRequest, context: Any) -> pb.CreateSessionResponse:
        device, address = wire.device(request), self._clients.of_call(context)
        if request.HasField("password"):
            name, password = check_name(request.password.name), check_password(request.password.password)
            session = await self._logins.by_password(name, password, device, address)
        else:
            session = await self._logins.by_secret(check_secret(request.device.secret), device, address)
        return pb.CreateSessionResponse(session=wire.session_message(session))

    async def RefreshSession(self, request: pb.RefreshSessionRequest, context: Any) -> pb.RefreshSessionResponse:
        session = await self._sessions.refresh(request.refresh_token)
        return pb.RefreshSessionResponse(session=wire.session_message(session))

    async def EndSession(self, request: pb.EndSessionRequest, context: Any) -> pb.EndSessionResponse:
        await self._sessions.end(request.refresh_token)
        return pb.EndSessionResponse()
