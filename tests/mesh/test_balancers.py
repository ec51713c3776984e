"""Balancers and edges that die under listeners of a mesh with two balancers: plays go on, and only who must moves."""

import asyncio
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from reprise.cli.folder import Folder
from tests.mesh.crowd import Play, p99, wait_all_routed
from tests.mesh.listener import Library, edge_metrics, edges_sum, listen, routes
from tests.mesh.test_deaths import finish, held
from tests.support.mesh import TestMesh
from tests.support.wait import wait_until

SONGS = 6
LISTENERS = 60
PLAYS_PER_S = 20
NEXT_BYTE_S_MAX = 2.0
START_S_MAX = 3.0
FILLED = "reprise_edge_fill_bytes_total"


@pytest.fixture(scope="module")
def songs(library: Library) -> list[str]:
    """Songs of ten seconds that these stories share."""
    return [library.songs[f"paced {n}"] for n in range(SONGS)]


def crowd(mesh: TestMesh, songs: list[str], count: int, seconds: float) -> list[Play]:
    """Listeners in all regions, so that every edge has some."""
    regions = sorted({edge["region"] for edge in mesh.json["edges"]})
    return [Play(mesh, songs[n % len(songs)], regions[n // len(songs) % len(regions)], seconds) for n in range(count)]


def busiest(plays: list[Play]) -> str:
    """The edge that most of them listen to now."""
    return Counter(play.edge_ids[-1] for play in plays).most_common(1)[0][0]


async def test_the_death_of_an_edge_moves_its_listeners_and_nobody_else(mesh: TestMesh, songs: list[str]) -> None:
    plays = crowd(mesh, songs, LISTENERS, seconds=5)
    async with asyncio.TaskGroup() as group:
        for play in plays:
            group.create_task(play.run())
        for play in plays:
            await play.started.wait()
        dead = busiest(plays)
        mesh.kill(mesh.edge(dead)["pid"])
    first = Counter(play.edge_ids[0] for play in plays)
    print(f"listeners by edge {dict(first)}, longest gap p99 {p99([play.longest_gap_s for play in plays]):.2f} s")
    assert len(first) == len(mesh.json["edges"]), "every edge had listeners"
    for play in plays:
        others = play.edge_ids[1:]
        assert len(others) == (1 if play.edge_ids[0] == dead else 0), play.edge_ids
        assert dead not in others
    assert p99([play.longest_gap_s for play in plays]) <= NEXT_BYTE_S_MAX
    await wait_all_routed(mesh, songs[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_one_of_two_balancers_goes_while_plays_begin_and_none_fails(
    mesh: TestMesh, songs: list[str], number: signal.Signals
) -> None:
    plays = crowd(mesh, songs, count=3 * PLAYS_PER_S, seconds=0)
    pid = mesh.pid_of("balancer-1")
    began = time.monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            for index, play in enumerate(plays):
                if index == PLAYS_PER_S:
                    mesh.kill(pid, number)
                group.create_task(play.run())
                await asyncio.sleep(max(0.0, began + (index + 1) / PLAYS_PER_S - time.monotonic()))
    finally:
        if number is signal.SIGSTOP:
            mesh.kill(pid, signal.SIGCONT)
    starts = [play.start_s for play in plays]
    print(f"{number.name}: starts p50 {sorted(starts)[len(starts) // 2]:.3f} s, p99 {p99(starts):.3f} s")
    assert all(play.edge_ids for play in plays)
    assert p99(starts) <= START_S_MAX
    await wait_all_routed(mesh, songs[0])


async def test_without_any_balancer_plays_go_on_over_dying_edges_and_edges_report_to_whoever_comes_back(
    mesh: TestMesh, songs: list[str]
) -> None:
    plays = crowd(mesh, songs, count=20, seconds=4)
    balancers = [mesh.pid_of(f"balancer-{n}") for n in (1, 2)]
    async with asyncio.TaskGroup() as group:
        for play in plays:
            group.create_task(play.run())
        for play in plays:
            await play.started.wait()
        for pid in balancers:
            mesh.kill(pid)
        died_s = time.monotonic()
        dead = busiest(plays)
        mesh.kill(mesh.edge(dead)["pid"])
    moved = [play for play in plays if len(play.edge_ids) > 1]
    assert {play.edge_ids[0] for play in moved} == {dead}
    assert all(play.rerouted == 0 for play in plays), "their first lists were enough"
    assert p99([play.longest_gap_s for play in plays]) <= NEXT_BYTE_S_MAX
    await wait_all_routed(mesh, songs[0])
    print(f"{len(moved)} moved; all balancers route to all edges {time.monotonic() - died_s:.1f} s after their death")


async def test_a_list_of_songs_that_plays_outlives_all_balancers_and_a_new_play_says_so_in_a_line(
    mesh: TestMesh, songs: list[str], tmp_path: Path
) -> None:
    playing = mesh.start_reprise("play", *songs[:3], "-o", str(tmp_path), "--pace", "6")
    await wait_until(lambda: any(tmp_path.iterdir()), "the first song plays", 20)
    with held(mesh, *(mesh.pid_of(f"balancer-{n}") for n in (1, 2))):
        refused = asyncio.create_task(asyncio.to_thread(mesh.reprise, "play", songs[3], "-o", "/dev/null", check=False))
        said = await asyncio.to_thread(finish, playing)
        done = await refused
    assert len(list(tmp_path.glob("*.mp4"))) == 3
    assert said.count("verified") == 3, said
    assert done.returncode == 1
    (_song, line) = done.stderr.strip().splitlines()
    assert "balancer-" in line, "it names who did not answer"
    await wait_all_routed(mesh, songs[0])


async def test_a_cold_edge_that_joins_under_load_reads_each_song_from_its_region(
    mesh: TestMesh, songs: list[str]
) -> None:
    """A region has read a song once; an edge that comes without anything costs the origin each byte once at most."""
    joining = "edge-3"
    load = asyncio.create_task(keep_playing(mesh, songs))
    await asyncio.to_thread(mesh.reprise, "drain", joining, "--deadline", "5")
    await wait_until(lambda: joining not in edge_metrics(mesh), "it has ended")
    shutil.rmtree(Folder(mesh.data).state(joining))
    # Of the edges that stay: what comes back counts from zero.
    before = edges_sum(mesh, FILLED, source="origin")
    await asyncio.to_thread(mesh.reprise, "drain", "--undo", joining)
    await wait_until(lambda: joining in edge_metrics(mesh), "it is back", 30)
    await wait_all_routed(mesh, songs[0])
    size = 0
    for song_id in songs:
        answers = await routes(mesh, song_id, 5)
        at_cold = [one for answer in answers for one in answer.candidates if one.edge_id == joining]
        heard = await asyncio.gather(*(listen(candidate) for candidate in at_cold))
        assert len(heard) == len(answers)
        assert {one.sha256 for one in heard} == {answers[0].rendition.rendition_id}
        size += answers[0].rendition.size_bytes
    assert not load.done(), "nobody's play has failed"
    load.cancel()
    read = edges_sum(mesh, FILLED, source="origin") - before
    print(f"a cold edge took {size} bytes of songs; the origins gave {read:.0f}")
    assert edge_metrics(mesh)[joining].sum(FILLED) == size, "each byte once, wherever from"
    assert read <= size


async def keep_playing(mesh: TestMesh, songs: list[str]) -> None:
    """Twenty listeners, one song after the other, until cancelled. Raises with the first play that fails."""

    async def listener() -> None:
        while True:
            for song_id in songs:
                await Play(mesh, song_id, seconds=1).run()

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(listener())
