"""CatalogService for listeners: parses, calls, answers."""

from typing import Any

from catalog import wire
from catalog.browse import Browse
from catalog.operators import Operators
from catalog.playback import Playback
from catalog.resuming import wire as resume_wire
from catalog.resuming.points import Resume
from catalog.search import Search
from catalog.sessions.listeners import Listeners
from catalog.song_wire import song_message
from catalog.songs import Songs
from reprise import rpc
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1 import catalog_service_pb2_grpc as pb_grpc
from reprise.ids import check_uuid

SEARCH_PAGE = 20
BROWSE_PAGE = 50
RECENT_PAGE = 20
PLAYBACK_SONGS_MAX = 10


class CatalogServicer(pb_grpc.CatalogServiceServicer):
    """What each method does and how it fails is written in the proto."""

    def __init__(
        self,
        search: Search,
        browse: Browse,
        songs: Songs,
        playback: Playback,
        resume: Resume,
        listeners: Listeners,
        operators: Operators,
    ) -> None:
        self._search = search
        self._browse = browse
        self._songs = songs
        self._playback = playback
        self._resume = resume
        self._listeners = listeners
        self._operators = operators

    async def Search(self, request: pb.SearchRequest, context: Any) -> pb.SearchResponse:
        size = wire.page_size(request.page_size, SEARCH_PAGE)
        page = await self._search.search(request.query, size, request.cursor, wire.filters(request))
        return wire.search_response(page)

    async def Browse(self, request: pb.BrowseRequest, context: Any) -> pb.BrowseResponse:
        listing = wire.listing(request)
        page = await self._browse.browse(listing, wire.page_size(request.page_size, BROWSE_PAGE), request.cursor)
        return wire.browse_response(listing.kind, page)

    async def GetSongs(self, request: pb.GetSongsRequest, context: Any) -> pb.GetSongsResponse:
        if request.upcoming:
            self._operators.check(rpc.bearer(context))
        found = await self._songs.find(wire.song_ids(request.song_ids), upcoming=request.upcoming)
        redirected = {str(old): str(new) for old, new in found.redirected.items()}
        known = {song.song_id for song in found.songs} | redirected.keys()
        unknown = [song_id for song_id in request.song_ids if song_id not in known]
        songs = map(song_message, found.songs)
        return pb.GetSongsResponse(songs=songs, unknown_song_ids=unknown, redirected_song_ids=redirected)

    async def SaveProgress(self, request: pb.SaveProgressRequest, context: Any) -> pb.SaveProgressResponse:
        user_id = self._listeners.listener(rpc.bearer(context), request.user_id)
        return resume_wire.save_response(await self._resume.save(user_id, resume_wire.save(request)))

    async def GetProgress(self, request: pb.GetProgressRequest, context: Any) -> pb.GetProgressResponse:
        user_id = self._listeners.listener(rpc.bearer(context), request.user_id)
        song_id = str(check_uuid(request.song_id, "song_id"))
        return resume_wire.points_response(await self._resume.get(user_id, song_id, request.consistency_token))

    async def GetPlayback(self, request: pb.GetPlaybackRequest, context: Any) -> pb.GetPlaybackResponse:
        return wire.playback_response(await self._playback.get(wire.song_ids(request.song_ids, PLAYBACK_SONGS_MAX)))

    async def ListRecent(self, request: pb.ListRecentRequest, context: Any) -> pb.ListRecentResponse:
        user_id = self._listeners.listener(rpc.bearer(context), request.user_id)
        size, token = wire.page_size(request.page_size, RECENT_PAGE), request.consistency_token
        finished = request.include_finished
        recent = await self._resume.recent(user_id, size, request.cursor, token, include_finished=finished)
        return resume_wire.recent_response(recent)
