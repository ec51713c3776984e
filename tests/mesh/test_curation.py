"""What an operator does to what is published holds everywhere: in search, in every balancer's memory, on every edge."""

import json

import grpc
import pytest

from reprise import rpc
from reprise.catalog.v1.catalog_service_pb2 import GetSongsRequest
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from reprise.types.v1.types_pb2 import CODEC_OPUS
from tests.mesh.conftest import write_noise
from tests.mesh.listener import edges_sum, listen, route
from tests.mesh.test_release import write_tags
from tests.support.mesh import TestMesh
from tests.support.wait import eventually, wait_until

TITLES = ("Contested tune", "Tune twice", "Tune twice again")


@pytest.fixture(scope="module")
def songs(mesh: TestMesh, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Ids by title."""
    folder = tmp_path_factory.mktemp("curated")
    for seed, title in enumerate(TITLES, 700):
        write_noise(folder / f"{title}.wav", 5, seed)
        write_tags(folder / f"{title}.wav", INAM=title, IART="Hiss & Friends")
    mesh.reprise("import", str(folder))
    found = json.loads(mesh.reprise("search", "tune", "--json").stdout)
    return {song["title"]: song["song_id"] for song in found}


async def test_what_is_taken_down_is_neither_found_nor_routed_nor_kept_until_it_is_restored(
    mesh: TestMesh, songs: dict[str, str]
) -> None:
    song_id = songs["Contested tune"]
    heard = await listen((await route(mesh, song_id, CODEC_OPUS)).candidates[0])
    kept = edges_sum(mesh, "reprise_edge_store_bytes", tier="ram")
    done = mesh.reprise("takedown", song_id, "--reason", "a claim")
    edges = len(mesh.json["edges"])
    assert done.stdout == f"taken down: song {song_id}, purged from {edges} edges\n"
    assert edges_sum(mesh, "reprise_edge_store_bytes", tier="ram") <= kept - len(heard.body)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await route(mesh, song_id)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    await wait_until(lambda: TITLES[0] not in titles(mesh, "contested"), "search follows")
    again = mesh.reprise("takedown", song_id, "--reason", "a claim", "--json")
    assert json.loads(again.stdout) == {"state": "taken down", "song_ids": [song_id], "edges_purged": edges}

    assert mesh.reprise("takedown", song_id, "--restore").stdout == f"restored: song {song_id}\n"
    await wait_until(lambda: TITLES[0] in titles(mesh, "contested"), "search follows")
    # What a balancer remembers as unknown, it remembers for two seconds.
    await eventually(lambda: is_routed(mesh, song_id), "balancers follow")
    assert (await listen((await route(mesh, song_id, CODEC_OPUS)).candidates[0])).sha256 == heard.sha256


async def test_a_song_that_was_merged_plays_by_its_old_id(mesh: TestMesh, songs: dict[str, str]) -> None:
    old, kept = songs["Tune twice again"], songs["Tune twice"]
    said = mesh.reprise("merge", "song", old, kept).stdout
    assert said == f"song {old} is {kept}\n"
    wanted, same = await route(mesh, kept, CODEC_OPUS), await route(mesh, old, CODEC_OPUS)
    assert same.rendition == wanted.rendition
    assert (await listen(same.candidates[0])).sha256 == wanted.rendition.rendition_id


async def test_songs_are_found_by_another_name_of_their_artist(mesh: TestMesh, songs: dict[str, str]) -> None:
    async with rpc.channel(mesh.json["catalog"]["grpc"]) as channel:
        request = GetSongsRequest(song_ids=[songs[TITLES[1]]])
        (song,) = (await CatalogServiceStub(channel).GetSongs(request, timeout=10)).songs
    mesh.reprise("alias", song.artists[0].artist_id, "Zischgestalten")
    await wait_until(lambda: TITLES[1] in titles(mesh, "zischgestalten twice"), "search follows")


async def is_routed(mesh: TestMesh, song_id: str) -> bool:
    try:
        return bool((await route(mesh, song_id, CODEC_OPUS)).candidates)
    except grpc.aio.AioRpcError:
        return False


def titles(mesh: TestMesh, query: str) -> list[str]:
    return [song["title"] for song in json.loads(mesh.reprise("search", query, "--json").stdout)]
