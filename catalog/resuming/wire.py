"""Between the protos and resume points: parses requests, builds answers. Pure."""

from catalog.resuming.points import Points, Recent, Saved
from catalog.resuming.resume import Kind, Point, Save
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.errors import InvalidRequest
from reprise.ids import check_id, check_uuid
from reprise.types.v1 import types_pb2 as types

# PostgreSQL counts in signed 64 bits.
_COUNT_MAX = (1 << 63) - 1
_KINDS = {pb.PROGRESS_KIND_UNSPECIFIED: Kind.ACTION, pb.PROGRESS_KIND_HEARTBEAT: Kind.HEARTBEAT}


def save(request: pb.SaveProgressRequest) -> Save:
    """What a device brings."""
    point = _point(request.point)
    if request.kind not in _KINDS:
        raise InvalidRequest(f"kind {request.kind} is unknown")
    _check_count(request.base_revision, "base_revision")
    return Save(point, _KINDS[request.kind], request.base_revision, request.late)


def save_response(saved: Saved) -> pb.SaveProgressResponse:
    return pb.SaveProgressResponse(
        point=_message(saved.point),
        conflict=None if saved.conflict is None else _message(saved.conflict),
        consistency_token=saved.token,
        spooled=saved.spooled,
    )


def points_response(found: Points) -> pb.GetProgressResponse:
    first, *others = map(_message, found.points)
    return pb.GetProgressResponse(point=first, other_devices=others, stale=found.stale)


def recent_response(recent: Recent) -> pb.ListRecentResponse:
    entries = [
        pb.ListRecentResponse.Entry(song=types.Song.FromString(entry.card), point=_message(entry.point))
        for entry in recent.entries
    ]
    return pb.ListRecentResponse(entries=entries, next_cursor=recent.next_cursor, stale=recent.stale)


def _point(message: pb.ResumePoint) -> Point:
    check_uuid(message.song_id, "song_id")
    check_id(message.device_id, "device_id")
    for field in ("epoch", "sequence"):
        _check_count(getattr(message, field), field)
    return Point(
        message.song_id, message.device_id, message.position_ms, message.finished, message.epoch, message.sequence
    )


def _check_count(count: int, field: str) -> None:
    if count > _COUNT_MAX:
        raise InvalidRequest(f"{field} must be below 2^63, not {count}")


def _message(point: Point) -> pb.ResumePoint:
    return pb.ResumePoint(
        song_id=point.song_id,
        device_id=point.device_id,
        position_ms=point.position_ms,
        finished=point.finished,
        epoch=point.epoch,
        sequence=point.sequence,
        saved_unix_ms=point.saved_unix_ms,
        revision=point.revision,
        device_name=point.device_name,
    )
