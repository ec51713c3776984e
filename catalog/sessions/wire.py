"""Between the session messages of the protos and this package's values. Pure."""

from catalog.sessions.credentials import check_device_name
from catalog.sessions.issuing import Device, Session
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.errors import InvalidRequest
from reprise.ids import check_id


def device(request: pb.CreateSessionRequest) -> Device:
    """The device in a request, which must say how it logs in. Raises InvalidRequest."""
    if request.WhichOneof("login") is None:
        raise InvalidRequest("login is missing: password or device")
    return Device(check_id(request.device_id, "device_id"), check_device_name(request.device_name))


def session_message(session: Session) -> pb.Session:
    return pb.Session(
        session_id=session.session_id,
        user_id=session.user_id,
        access_token=session.access_token,
        access_expires_unix_ms=session.access_expires_unix_ms,
        refresh_token=session.refresh_token,
        refresh_expires_unix_ms=session.refresh_expires_unix_ms,
    )
