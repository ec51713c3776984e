"""CatalogAdminService for ingest and operators: checks the operator's token, parses, calls, answers."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from catalog import wire
from catalog.curation import Curation
from catalog.operators import Operators
from catalog.publish import Publisher
from catalog.releases import Releases
from catalog.sessions.credentials import check_name, check_password
from catalog.sessions.logins import Logins
from reprise import rpc
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1 import catalog_service_pb2_grpc as pb_grpc
from reprise.ids import check_uuid


class CatalogAdminServicer(pb_grpc.CatalogAdminServiceServicer):
    """What each method does and how it fails is written in the proto."""

    def __init__(
        self, publisher: Publisher, releases: Releases, curation: Curation, logins: Logins, operators: Operators
    ) -> None:
        self._publisher = publisher
        self._releases = releases
        self._curation = curation
        self._logins = logins
        self._operators = operators

    async def FindSources(self, request: pb.FindSourcesRequest, context: Any) -> pb.FindSourcesResponse:
        self._operators.check(rpc.bearer(context))
        songs = await self._publisher.find_sources(wire.sources(request.source_sha256))
        found = [
            pb.FindSourcesResponse.Found(source_sha256=digest, song_id=str(song_id))
            for digest, song_id in songs.items()
        ]
        return pb.FindSourcesResponse(found=found)

    async def PublishSong(self, request: pb.PublishSongRequest, context: Any) -> pb.PublishSongResponse:
        self._operators.check(rpc.bearer(context))
        published = await self._publisher.publish(wire.publication(request))
        return pb.PublishSongResponse(song_id=str(published.song_id), created=published.created)

    async def PublishRelease(self, request: pb.PublishReleaseRequest, context: Any) -> pb.PublishReleaseResponse:
        self._operators.check(rpc.bearer(context))
        release_id = check_uuid(request.release_id, "release_id")
        scheduled = await self._releases.publish(release_id, request.at_unix_ms)
        return pb.PublishReleaseResponse(songs=scheduled.songs, at_unix_ms=scheduled.at_unix_ms)

    async def ListUpcoming(self, request: pb.ListUpcomingRequest, context: Any) -> pb.ListUpcomingResponse:
        self._operators.check(rpc.bearer(context))
        page = await self._releases.upcoming(request.until_unix_ms, request.cursor)
        upcoming = map(wire.upcoming_message, page.upcoming)
        return pb.ListUpcomingResponse(upcoming=upcoming, next_cursor=page.next_cursor)

    async def TakeDown(self, request: pb.TakeDownRequest, context: Any) -> pb.TakeDownResponse:
        self._operators.check(rpc.bearer(context))
        kind, id_ = wire.taken(request)
        takedown = self._curation.takedown
        if request.restore:
            taken = await takedown.restore(kind, id_)
        else:
            taken = await takedown.take_down(kind, id_, wire.reason(request.reason))
        return pb.TakeDownResponse(song_ids=map(str, taken.song_ids), rendition_ids=taken.rendition_ids)

    async def Merge(self, request: pb.MergeRequest, context: Any) -> pb.MergeResponse:
        self._operators.check(rpc.bearer(context))
        from_id, into_id = check_uuid(request.from_id, "from_id"), check_uuid(request.into_id, "into_id")
        songs = await self._curation.merging.merge(wire.entity_kind(request.kind), from_id, into_id)
        return pb.MergeResponse(songs=songs)

    async def SetArtistAliases(self, request: pb.SetArtistAliasesRequest, context: Any) -> pb.SetArtistAliasesResponse:
        self._operators.check(rpc.bearer(context))
        await self._curation.aliases.set(check_uuid(request.artist_id, "artist_id"), request.aliases)
        return pb.SetArtistAliasesResponse()

    async def SetUser(self, request: pb.SetUserRequest, context: Any) -> pb.SetUserResponse:
        self._operators.check(rpc.bearer(context))
        name, password = check_name(request.name), check_password(request.password)
        user = await self._logins.set_user(name, password, replace=request.replace)
        return pb.SetUserResponse(user_id=user.user_id, created=user.created)

    async def WatchChanges(
        self, request: pb.WatchChangesRequest, context: Any
    ) -> AsyncIterator[pb.WatchChangesResponse]:
        self._operators.check(rpc.bearer(context))
        async with aclosing(self._curation.changes.watch(request.cursor)) as changes:
            async for change, cursor in changes:
                yield wire.change_message(change, cursor)
