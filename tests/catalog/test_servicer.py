"""The catalog as its clients see it: over gRPC, with the right status for everything that goes wrong."""

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from catalog.admin_servicer import CatalogAdminServicer
from catalog.browse import Browse
from catalog.curation import Curation
from catalog.operators import Operators
from catalog.playback import Playback
from catalog.publish import Publisher
from catalog.releases import Releases
from catalog.resuming.points import Resume
from catalog.search import Search
from catalog.servicer import CatalogServicer
from catalog.sessions.listeners import Listeners
from catalog.sessions.logins import Logins
from catalog.songs import Songs
from reprise import rpc
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1 import catalog_service_pb2_grpc as pb_grpc
from reprise.grants import Claims, derive_key, mint
from reprise.types.v1 import types_pb2 as types
from tests.catalog.songbook import digest

MESH_KEY = b"m" * 32
USER = "listener-0123456789"
Code = grpc.StatusCode


@pytest.fixture
async def channel(
    search: Search,
    browse: Browse,
    songs: Songs,
    playback: Playback,
    resume: Resume,
    publisher: Publisher,
    releases: Releases,
    curation: Curation,
    listeners: Listeners,
    logins: Logins,
    registry: CollectorRegistry,
) -> AsyncIterator[grpc.aio.Channel]:
    server = rpc.server(rpc.RpcMetrics("catalog", registry))
    operators = Operators(derive_key(MESH_KEY, "operator"), time.time)
    servicer = CatalogServicer(search, browse, songs, playback, resume, listeners, operators)
    pb_grpc.add_CatalogServiceServicer_to_server(servicer, server)
    admin = CatalogAdminServicer(publisher, releases, curation, logins, operators)
    pb_grpc.add_CatalogAdminServiceServicer_to_server(admin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with rpc.channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(0)


@pytest.fixture
def catalog(channel: grpc.aio.Channel) -> Any:
    return pb_grpc.CatalogServiceStub(channel)


@pytest.fixture
def admin(channel: grpc.aio.Channel) -> Any:
    return pb_grpc.CatalogAdminServiceStub(channel)


def token(kid: str = "operator", scope: str = "operator", audience: str = "mesh", expires_in_s: int = 3600) -> Any:
    """Metadata with a token signed by the owner of `kid`."""
    claims = Claims(scope, kid, audience, kid, "t", int(time.time()) + expires_in_s)
    return rpc.bearer_metadata(mint(claims, kid, derive_key(MESH_KEY, kid)))


def publish_request(title: str = "Army of Me", **fields: Any) -> pb.PublishSongRequest:
    defaults: dict[str, Any] = {
        "source_sha256": digest(title),
        "title": title,
        "artists": [types.ArtistCredit(name="Björk")],
        "album": "Post",
        "genres": ["Electronic"],
        "duration_ms": 234_000,
        "track_number": 1,
        "date": "1995",
        "renditions": [rendition(title)],
        "cover_sha256": digest("cover"),
        "cover_mime_type": "image/png",
    }
    return pb.PublishSongRequest(**(defaults | fields))


def rendition(text: str) -> types.Rendition:
    return types.Rendition(
        rendition_id=digest(text),
        codec=types.CODEC_OPUS,
        bitrate_bps=96_000,
        size_bytes=2_800_000,
        duration_ms=234_000,
        sample_rate_hz=48_000,
        channels=2,
        mime_type='audio/mp4; codecs="opus"',
    )


async def refusal(call: Any) -> tuple[Code, str]:
    """Status and message of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert "Traceback" not in (caught.value.details() or "")
    return caught.value.code(), caught.value.details() or ""


async def test_what_ingest_publishes_a_listener_finds_and_reads_whole(catalog: Any, admin: Any) -> None:
    published = await admin.PublishSong(publish_request(), metadata=token())
    (song,) = (await catalog.Search(pb.SearchRequest(query="army of me"))).songs
    assert song.song_id == published.song_id
    assert song.audio_url == f"/play/{song.song_id}"
    assert song.cover_url == song.album.cover_url == f"/covers/{digest('cover')}"
    assert (song.artists[0].name, song.album.title, song.genres[0].name) == ("Björk", "Post", "Electronic")
    assert list(song.renditions) == [rendition("Army of Me")]
    assert uuid.UUID(song.song_id).version == 7


async def test_publishing_twice_and_finding_sources(admin: Any) -> None:
    request = publish_request("Twice")
    first = await admin.PublishSong(request, metadata=token())
    again = await admin.PublishSong(request, metadata=token())
    assert (first.created, again.created, again.song_id) == (True, False, first.song_id)
    asked = pb.FindSourcesRequest(source_sha256=[digest("nowhere"), request.source_sha256])
    (found,) = (await admin.FindSources(asked, metadata=token())).found
    assert (found.source_sha256, found.song_id) == (request.source_sha256, first.song_id)


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        (None, Code.UNAUTHENTICATED),
        (rpc.bearer_metadata("garbage"), Code.UNAUTHENTICATED),
        (token(audience="origin"), Code.UNAUTHENTICATED),
        (token(expires_in_s=-3600), Code.UNAUTHENTICATED),
        (token(scope="report"), Code.PERMISSION_DENIED),
        # An edge signs with a key that the mesh derives too: it must not make it an operator.
        (token(kid="edge-1"), Code.UNAUTHENTICATED),
    ],
)
async def test_only_an_operator_may_publish(admin: Any, catalog: Any, metadata: Any, code: Code) -> None:
    assert (await refusal(admin.PublishSong(publish_request("Forged"), metadata=metadata)))[0] is code
    assert (await refusal(admin.FindSources(pb.FindSourcesRequest(), metadata=metadata)))[0] is code
    assert not (await catalog.Search(pb.SearchRequest(query="forged"))).songs


async def test_get_songs_keeps_the_order_and_lists_the_unknown(catalog: Any, admin: Any) -> None:
    ids = [(await admin.PublishSong(publish_request(f"Song {n}"), metadata=token())).song_id for n in range(3)]
    stranger = str(uuid.uuid4())
    asked = [ids[2], stranger, ids[0], ids[2], ids[1]]
    answer = await catalog.GetSongs(pb.GetSongsRequest(song_ids=asked))
    assert [song.song_id for song in answer.songs] == [ids[2], ids[0], ids[2], ids[1]]
    assert list(answer.unknown_song_ids) == [stranger]


async def test_browse_fills_only_the_kind_asked_for(catalog: Any, admin: Any) -> None:
    await admin.PublishSong(
        publish_request("Browsed", artists=[types.ArtistCredit(name="The Browsers")]), metadata=token()
    )
    artists = await catalog.Browse(pb.BrowseRequest(kind=pb.BROWSE_KIND_ARTISTS))
    assert "Browsers, The" in [artist.sort_name for artist in artists.artists]
    assert not artists.releases
    assert not artists.genres
    assert not artists.songs
    artist_id = next(artist.artist_id for artist in artists.artists if artist.name == "The Browsers")
    for kind, field in ((pb.BROWSE_KIND_RELEASES, "releases"), (pb.BROWSE_KIND_SONGS, "songs")):
        listed = await catalog.Browse(pb.BrowseRequest(kind=kind, artist_id=artist_id))
        assert len(getattr(listed, field)) == 1
    assert (await catalog.Browse(pb.BrowseRequest(kind=pb.BROWSE_KIND_GENRES))).genres


async def test_progress_over_the_wire(catalog: Any, admin: Any) -> None:
    song_id = (await admin.PublishSong(publish_request("Resumed"), metadata=token())).song_id

    async def save(device: str, epoch: int, sequence: int, position_ms: int) -> Any:
        point = pb.ResumePoint(
            song_id=song_id, device_id=device, epoch=epoch, sequence=sequence, position_ms=position_ms
        )
        return await catalog.SaveProgress(pb.SaveProgressRequest(user_id=USER, point=point))

    await save("phone", 5, 1, 10_000)
    saved = (await save("car", 1, 1, 20_000)).point
    assert saved.saved_unix_ms > 0
    answer = await catalog.GetProgress(pb.GetProgressRequest(user_id=USER, song_id=song_id))
    assert answer.point == saved
    assert [point.device_id for point in answer.other_devices] == ["phone"]
    code, message = await refusal(save("phone", 4, 9, 1))
    assert code is Code.ABORTED
    assert "epoch=5 sequence=1 position_ms=10000" in message


async def test_late_saves_heartbeats_and_recent_songs_over_the_wire(catalog: Any, admin: Any) -> None:
    user = "listener-of-two-devices"
    song_id = (await admin.PublishSong(publish_request("Listed"), metadata=token())).song_id

    async def save(device: str, sequence: int, **how: Any) -> Any:
        point = pb.ResumePoint(song_id=song_id, device_id=device, epoch=1, sequence=sequence)
        return await catalog.SaveProgress(pb.SaveProgressRequest(user_id=user, point=point, **how))

    await save("phone", 1)
    car = await save("car", 1, base_revision=1)
    late = await save("phone", 2, base_revision=1, late=True)
    assert (car.point.revision, late.conflict) == (2, car.point)
    beat = await save("car", 2, kind=pb.PROGRESS_KIND_HEARTBEAT, base_revision=2)
    assert (beat.point.sequence, beat.consistency_token, beat.spooled) == (2, "", False)
    request = pb.GetProgressRequest(user_id=user, song_id=song_id, consistency_token=late.consistency_token)
    answer = await catalog.GetProgress(request)
    assert (answer.point.sequence, answer.stale) == (2, False)
    assert [(point.device_id, point.sequence) for point in answer.other_devices] == [("phone", 2)]
    recent = await catalog.ListRecent(pb.ListRecentRequest(user_id=user))
    assert [(entry.song.title, entry.point) for entry in recent.entries] == [("Listed", answer.point)]
    assert not recent.next_cursor


SONG_ID = str(uuid.UUID(int=7))


@pytest.mark.parametrize(
    ("method", "request_", "code", "message"),
    [
        ("Search", pb.SearchRequest(), Code.INVALID_ARGUMENT, "query"),
        ("Search", pb.SearchRequest(query="x" * 201), Code.INVALID_ARGUMENT, "201 characters"),
        ("Search", pb.SearchRequest(query="x", page_size=101), Code.INVALID_ARGUMENT, "page_size"),
        ("Search", pb.SearchRequest(query="x", cursor="forged"), Code.INVALID_ARGUMENT, "cursor"),
        ("Browse", pb.BrowseRequest(), Code.INVALID_ARGUMENT, "kind is missing"),
        ("Browse", pb.BrowseRequest(kind=99), Code.INVALID_ARGUMENT, "kind"),
        ("Browse", pb.BrowseRequest(kind=1, order=9), Code.INVALID_ARGUMENT, "order"),
        ("Browse", pb.BrowseRequest(kind=1, page_size=101), Code.INVALID_ARGUMENT, "page_size"),
        ("Browse", pb.BrowseRequest(kind=1, cursor="forged"), Code.INVALID_ARGUMENT, "cursor"),
        ("Browse", pb.BrowseRequest(kind=3, genre_id=SONG_ID), Code.INVALID_ARGUMENT, "genre_id"),
        ("Browse", pb.BrowseRequest(kind=4, genre_id="rock"), Code.INVALID_ARGUMENT, "genre_id"),
        ("Browse", pb.BrowseRequest(kind=4, genre_id=SONG_ID), Code.NOT_FOUND, "genre_id"),
        ("GetSongs", pb.GetSongsRequest(), Code.INVALID_ARGUMENT, "song_ids"),
        ("GetSongs", pb.GetSongsRequest(song_ids=["x"]), Code.INVALID_ARGUMENT, "song_ids"),
        ("GetSongs", pb.GetSongsRequest(song_ids=[SONG_ID] * 101), Code.INVALID_ARGUMENT, "101"),
        ("SaveProgress", pb.SaveProgressRequest(user_id="short"), Code.INVALID_ARGUMENT, "user_id"),
        ("SaveProgress", pb.SaveProgressRequest(user_id=USER), Code.INVALID_ARGUMENT, "song_id"),
        (
            "SaveProgress",
            pb.SaveProgressRequest(user_id=USER, point=pb.ResumePoint(song_id=SONG_ID)),
            Code.INVALID_ARGUMENT,
            "device_id",
        ),
        (
            "SaveProgress",
            pb.SaveProgressRequest(user_id=USER, point=pb.ResumePoint(song_id=SONG_ID, device_id="d", epoch=1 << 63)),
            Code.INVALID_ARGUMENT,
            "epoch",
        ),
        (
            "SaveProgress",
            pb.SaveProgressRequest(user_id=USER, point=pb.ResumePoint(song_id=SONG_ID, device_id="d")),
            Code.NOT_FOUND,
            "no such song",
        ),
        ("GetProgress", pb.GetProgressRequest(user_id=USER, song_id="x"), Code.INVALID_ARGUMENT, "song_id"),
        (
            "GetProgress",
            pb.GetProgressRequest(user_id=USER, song_id=SONG_ID, consistency_token="x"),
            Code.INVALID_ARGUMENT,
            "consistency_token",
        ),
        ("ListRecent", pb.ListRecentRequest(user_id=USER, page_size=101), Code.INVALID_ARGUMENT, "page_size"),
        ("ListRecent", pb.ListRecentRequest(user_id=USER, cursor="forged"), Code.INVALID_ARGUMENT, "cursor"),
        ("GetProgress", pb.GetProgressRequest(user_id=USER, song_id=SONG_ID), Code.NOT_FOUND, "no resume point"),
    ],
)
async def test_what_is_wrong_is_named_with_the_right_status(
    catalog: Any, method: str, request_: Any, code: Code, message: str
) -> None:
    got, details = await refusal(getattr(catalog, method)(request_))
    assert (got, message in details) == (code, True), details


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (publish_request(title=""), "title"),
        (publish_request(artists=[]), "artists"),
        (publish_request(renditions=[]), "renditions"),
        (publish_request(date="May 1995"), "date"),
    ],
)
async def test_a_bad_publication_is_refused_by_field(admin: Any, request_: Any, field: str) -> None:
    code, details = await refusal(admin.PublishSong(request_, metadata=token()))
    assert code is Code.INVALID_ARGUMENT
    assert details.startswith(field)


async def test_bad_sources_are_refused(admin: Any) -> None:
    for digests in (["xyz"], [digest("")[:20]]):
        assert (await refusal(admin.FindSources(pb.FindSourcesRequest(source_sha256=digests), metadata=token())))[
            0
        ] is (Code.INVALID_ARGUMENT)


async def test_a_release_over_the_wire(catalog: Any, admin: Any) -> None:
    at = (int(time.time()) + 3600) * 1000
    request = publish_request("Held", album="Held Back", available_from_unix_ms=at)
    song_id = (await admin.PublishSong(request, metadata=token())).song_id
    asked = pb.GetSongsRequest(song_ids=[song_id])
    assert (await catalog.GetSongs(asked)).unknown_song_ids == [song_id]
    everything = pb.GetSongsRequest(song_ids=[song_id], upcoming=True)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await catalog.GetSongs(everything)
    assert refused.value.code() == Code.UNAUTHENTICATED
    (song,) = (await catalog.GetSongs(everything, metadata=token())).songs
    calendar = await admin.ListUpcoming(pb.ListUpcomingRequest(until_unix_ms=at), metadata=token())
    (release,) = calendar.upcoming
    assert (release.title, release.at_unix_ms, list(release.songs)) == ("Held Back", at, [song])
    now = pb.PublishReleaseRequest(release_id=release.release_id)
    assert (await admin.PublishRelease(now, metadata=token())).songs == 1
    assert [found.song_id for found in (await catalog.GetSongs(asked)).songs] == [song_id]


@pytest.mark.parametrize(
    "call", [("PublishRelease", pb.PublishReleaseRequest()), ("ListUpcoming", pb.ListUpcomingRequest())]
)
async def test_only_an_operator_knows_the_calendar(admin: Any, call: Any) -> None:
    method, request = call
    for metadata in (None, token(scope="report")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await getattr(admin, method)(request, metadata=metadata)
        assert refused.value.code() in (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED)


async def test_taking_down_merging_and_following_over_the_wire(catalog: Any, admin: Any) -> None:
    old, kept = [(await admin.PublishSong(publish_request(f"Wired {n}"), metadata=token())).song_id for n in range(2)]
    down = pb.TakeDownRequest(song_id=old, reason="a claim")
    taken = await admin.TakeDown(down, metadata=token())
    assert (list(taken.song_ids), list(taken.rendition_ids)) == ([old], [digest("Wired 0")])
    assert (await catalog.GetSongs(pb.GetSongsRequest(song_ids=[old]))).unknown_song_ids == [old]
    await admin.TakeDown(pb.TakeDownRequest(song_id=old, restore=True), metadata=token())
    asked = pb.MergeRequest(kind=pb.ENTITY_KIND_SONG, from_id=old, into_id=kept)
    assert (await admin.Merge(asked, metadata=token())).songs == 1
    answer = await catalog.GetSongs(pb.GetSongsRequest(song_ids=[old]))
    assert ([song.song_id for song in answer.songs], dict(answer.redirected_song_ids)) == ([kept], {old: kept})
    artist_id = answer.songs[0].artists[0].artist_id
    await admin.SetArtistAliases(
        pb.SetArtistAliasesRequest(artist_id=artist_id, aliases=["Guðmundsdóttir"]), metadata=token()
    )
    followed = []
    changes = admin.WatchChanges(pb.WatchChangesRequest(), metadata=token(), timeout=10)
    async for change in changes:
        if change.id == old:
            followed.append((change.kind, change.gone, change.redirected_to_id))
            if change.redirected_to_id:
                break
    changes.cancel()
    song = pb.ENTITY_KIND_SONG
    assert followed == [(song, False, ""), (song, True, ""), (song, False, ""), (song, True, kept)]


@pytest.mark.parametrize(
    ("method", "request_", "code", "message"),
    [
        ("TakeDown", pb.TakeDownRequest(reason="x"), Code.INVALID_ARGUMENT, "song_id or a release_id"),
        ("TakeDown", pb.TakeDownRequest(song_id="x", reason="x"), Code.INVALID_ARGUMENT, "song_id"),
        ("TakeDown", pb.TakeDownRequest(song_id=SONG_ID), Code.INVALID_ARGUMENT, "reason"),
        ("TakeDown", pb.TakeDownRequest(song_id=SONG_ID, reason="x" * 501), Code.INVALID_ARGUMENT, "501"),
        ("TakeDown", pb.TakeDownRequest(release_id=SONG_ID, restore=True), Code.NOT_FOUND, "no such release"),
        ("Merge", pb.MergeRequest(from_id=SONG_ID, into_id=str(uuid.UUID(int=8))), Code.INVALID_ARGUMENT, "kind"),
        ("Merge", pb.MergeRequest(kind=1, from_id="x", into_id=SONG_ID), Code.INVALID_ARGUMENT, "from_id"),
        ("Merge", pb.MergeRequest(kind=1, from_id=SONG_ID, into_id=SONG_ID), Code.INVALID_ARGUMENT, "the same"),
        (
            "Merge",
            pb.MergeRequest(kind=2, from_id=SONG_ID, into_id=str(uuid.UUID(int=8))),
            Code.NOT_FOUND,
            "no such artist",
        ),
        ("SetArtistAliases", pb.SetArtistAliasesRequest(artist_id="x"), Code.INVALID_ARGUMENT, "artist_id"),
        ("SetArtistAliases", pb.SetArtistAliasesRequest(artist_id=SONG_ID), Code.NOT_FOUND, "no such artist"),
    ],
)
async def test_what_is_wrong_with_an_operators_wish_is_named(
    admin: Any, method: str, request_: Any, code: Code, message: str
) -> None:
    got, details = await refusal(getattr(admin, method)(request_, metadata=token()))
    assert (got, message in details) == (code, True), details
    assert (await refusal(getattr(admin, method)(request_)))[0] is Code.UNAUTHENTICATED


async def test_a_watch_needs_an_operator_and_a_cursor_of_ours(admin: Any) -> None:
    for request, metadata, code in (
        (pb.WatchChangesRequest(), None, Code.UNAUTHENTICATED),
        (pb.WatchChangesRequest(cursor="forged"), token(), Code.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await admin.WatchChanges(request, metadata=metadata).read()
        assert refused.value.code() is code
