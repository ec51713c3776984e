"""An edge of two worker processes is one edge: one fill, one set of figures, one purge, one drain. It outlives its workers."""

import asyncio
import itertools
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from bench.asks import PLAY, played, web_messages
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.chunks import CHUNK_BYTES
from reprise.edge.v1.edge_service_pb2 import PlayRequest
from reprise.grpc_web_frames import data_head
from tests.edge_node.edges import BITRATE_BPS, SONG_ID, Audio, ScriptedOrigin, listen_grant, make_audio, scripted_origin
from tests.edge_node.node_process import EDGE_ID, Client, NodeProcess, Refused, running_node
from tests.edge_node.scripted_balancer import ScriptedBalancer, scripted_balancer
from tests.reprise.certificates import write_certificate
from tests.support.mesh import Metrics
from tests.support.wait import wait_until

# Most stories happen to the same edge: one start for all of them.
pytestmark = pytest.mark.asyncio(loop_scope="module")

SIZE = 20 * CHUNK_BYTES + 1234
# So many connections that the kernel gives each worker some: it spreads them by a hash of their ports.
CROWD = 50
SEEDS = itertools.count(1)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with scripted_origin() as servicer:
        yield servicer


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def balancer() -> AsyncIterator[ScriptedBalancer]:
    async with scripted_balancer() as servicer:
        yield servicer


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def node(
    origin: ScriptedOrigin, balancer: ScriptedBalancer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[NodeProcess]:
    async with running_node(tmp_path_factory.mktemp("node"), origin.address, balancers=(balancer.address,)) as running:
        yield running


class Story:
    """One song that nobody has played before, and what the edge's figures grew by since the story began."""

    def __init__(self, node: NodeProcess, origin: ScriptedOrigin, before: Metrics, seed: int) -> None:
        self.node = node
        self.origin = origin
        self.audio = origin.add(make_audio(SIZE, seed))
        self._before = before

    def hold_before(self, chunk: int) -> None:
        """The origin stops there until `go_on`."""
        self.origin.hold_before = chunk
        self.origin.go.clear()

    def go_on(self) -> None:
        self.origin.go.set()

    def crowd(self, count: int = CROWD) -> list[Client]:
        return [Client(self.node, self.audio) for _ in range(count)]

    async def grew(self, name: str, **labels: str) -> float:
        return (await self.node.metrics()).sum(name, **labels) - self._before.sum(name, **labels)

    async def until_grown(self, by: float, name: str, **labels: str) -> None:
        await self.node.until_metric(by + self._before.sum(name, **labels), name, **labels)

    async def streams_by_worker(self) -> list[float]:
        metrics = await self.node.metrics()
        return [metrics.sum("reprise_edge_worker_streams", worker=number) for number in ("1", "2")]

    async def until_idle(self) -> None:
        """Returns when no stream is open."""
        async with asyncio.timeout(10):
            while (await self.node.metrics()).sum("reprise_edge_streams"):
                await asyncio.sleep(0.02)

    def all_heard(self, heard: list[bytes]) -> bool:
        return all(one == self.audio.data for one in heard)


@pytest_asyncio.fixture(loop_scope="module")
async def story(node: NodeProcess, origin: ScriptedOrigin) -> AsyncIterator[Story]:
    await node.until_metric(2, "reprise_edge_workers")
    yield Story(node, origin, await node.metrics(), next(SEEDS))
    origin.hold_before = None
    origin.go.set()


def start(clients: list[Client]) -> "list[asyncio.Task[bytes]]":
    return [asyncio.create_task(client.listen()) for client in clients]


def heat_of(report: messages.LoadReport, audio: Audio) -> tuple[int, int]:
    """Bits per second that a song is played at, and who waits for it."""
    found = [heat for heat in report.heat if heat.rendition_id == audio.rendition_id]
    return (found[0].live_bps, found[0].waiting_followers) if found else (0, 0)


async def test_a_crowd_on_a_cold_song_at_both_workers_is_one_fill_and_one_set_of_figures(
    story: Story, balancer: ScriptedBalancer
) -> None:
    story.hold_before(0)
    listening = start(story.crowd())
    await story.node.until_metric(CROWD, "reprise_edge_waiting_readers")
    assert min(await story.streams_by_worker()) > 0, "the kernel gave one worker nothing"
    report = await balancer.report()
    assert report.active_streams >= CROWD
    assert heat_of(report, story.audio) == (CROWD * BITRATE_BPS, CROWD)
    assert len({one for each in balancer.reports for one in each.seen_grant_ids}) == CROWD
    story.go_on()
    assert story.all_heard(await asyncio.gather(*listening))

    assert set(story.origin.given_of(story.audio)) == {1}
    assert await story.grew("reprise_edge_sent_bytes_total") == CROWD * SIZE
    assert await story.grew("reprise_edge_requests_total", door="http", result="leader") == 1
    assert await story.grew("reprise_edge_requests_total", door="http", result="follower") == CROWD - 1
    assert await story.grew("reprise_edge_first_byte_seconds_count") == CROWD
    assert await story.grew("reprise_edge_fills_total", outcome="stored") == 1
    await story.until_idle()
    report = await balancer.report()
    # They have heard all, but any of them may come back for more.
    assert heat_of(report, story.audio)[0] == CROWD * BITRATE_BPS
    assert report.committed_bps >= CROWD * BITRATE_BPS
    assert report.counters.ram_bytes >= SIZE
    assert report.cpu_permille > 0
    assert report.counters.sent_bytes == (await story.node.metrics()).sum("reprise_edge_sent_bytes_total")


async def test_a_listener_who_comes_to_both_workers_is_one_listener(story: Story, balancer: ScriptedBalancer) -> None:
    path = story.node.media_path(story.audio)
    by_worker = [0.0, 0.0]
    async with asyncio.timeout(20):
        while not all(by_worker):
            assert (await story.node.get(path))[1] == story.audio.data
            by_worker = [await story.grew("reprise_edge_worker_leases", worker=number) for number in ("1", "2")]
    assert heat_of(await balancer.report(), story.audio) == (BITRATE_BPS, 0)


async def test_what_one_worker_has_fetched_the_other_serves_from_the_same_memory(story: Story) -> None:
    assert await Client(story.node, story.audio).listen() == story.audio.data
    assert story.all_heard(await asyncio.gather(*start(story.crowd())))
    assert set(story.origin.given_of(story.audio)) == {1}
    assert await story.grew("reprise_edge_requests_total", result="hit_ram") == CROWD
    assert await story.grew("reprise_edge_worker_leases") == 2
    assert SIZE <= await story.grew("reprise_edge_store_bytes", tier="ram") < 1.1 * SIZE


async def test_grpc_web_is_served_by_the_workers_too(story: Story) -> None:
    message = PlayRequest(
        grant=listen_grant(EDGE_ID, story.audio), song_id=SONG_ID, rendition_id=story.audio.rendition_id
    ).SerializeToString()
    status, body = await story.node.post(PLAY, data_head(len(message)) + message)
    assert status == 200
    assert played(web_messages(body)) == story.audio.data
    assert await story.grew("reprise_edge_sent_bytes_total", door="grpc-web") == SIZE
    assert await story.grew("reprise_edge_rpc_seconds_count", door="grpc-web", code="OK") == 1
    assert await story.grew("reprise_edge_http_sent_bytes_total") > SIZE


async def test_a_killed_worker_costs_nobody_a_byte_and_the_others_notice_nothing(story: Story) -> None:
    story.hold_before(10)
    clients = story.crowd()
    listening = start(clients)
    await asyncio.gather(*(client.first_byte.wait() for client in clients))
    of_each = await story.streams_by_worker()
    assert sum(of_each) == CROWD
    killed, other = story.node.worker_pids()
    os.kill(killed, signal.SIGKILL)
    # Who comes before the next worker is there waits in the queue of a socket, and is not refused.
    late = story.crowd(20)
    listening += start(late)
    await story.until_grown(1, "reprise_edge_worker_restarts_total", cause="died")
    await story.node.until_metric(CROWD + 20, "reprise_edge_streams")
    story.go_on()
    assert story.all_heard(await asyncio.gather(*listening))

    assert set(story.origin.given_of(story.audio)) == {1}
    broken = sum(client.reconnects > 0 for client in clients)
    assert broken in of_each, "only who was at the killed worker had to come again"
    assert [client.reconnects for client in late] == [0] * 20
    await story.node.until_metric(2, "reprise_edge_workers")
    pids = story.node.worker_pids()
    assert (other in pids, killed in pids) == (True, False)
    await story.until_idle()
    assert await story.streams_by_worker() == [0, 0], "the killed worker's streams were given back"


async def test_a_purge_is_over_when_every_worker_has_cut_its_listeners(
    story: Story, balancer: ScriptedBalancer
) -> None:
    story.hold_before(10)
    clients = story.crowd()
    listening = start(clients)
    await asyncio.gather(*(client.first_byte.wait() for client in clients))
    assert min(await story.streams_by_worker()) > 0
    del story.origin.audios[story.audio.rendition_id]
    async with asyncio.timeout(1):
        result = await balancer.command(purge=messages.Purge(rendition_ids=[story.audio.rendition_id]))
    assert result.ok, result.detail
    for one in listening:
        # It was cut, came again for the rest, and was told that there is none.
        with pytest.raises(Refused):
            await one
    assert {client.status for client in clients} == {404}
    assert await story.grew("reprise_edge_store_bytes", tier="ram") == 0
    assert await story.grew("reprise_edge_worker_leases") == 0


async def test_a_worker_that_hangs_cannot_outlast_a_purge(story: Story, balancer: ScriptedBalancer) -> None:
    hung = story.node.worker_pids()[0]
    os.kill(hung, signal.SIGSTOP)
    async with asyncio.timeout(1):
        assert (await balancer.command(purge=messages.Purge(rendition_ids=[story.audio.rendition_id]))).ok
    await wait_until(lambda: hung not in story.node.worker_pids(), "the hung worker is gone")
    await story.until_grown(1, "reprise_edge_worker_restarts_total", cause="purge")
    assert story.all_heard(await asyncio.gather(*start(story.crowd())))


async def test_a_grant_allows_eight_streams_at_once_over_all_workers(story: Story) -> None:
    story.hold_before(10)
    path = story.node.media_path(story.audio)
    playing, refused = [], 0
    for _ in range(12):
        client = Client(story.node, story.audio, path)
        one = asyncio.create_task(client.listen())
        await client.answered.wait()
        refused += client.status == 429
        playing += [] if client.status == 429 else [one]
        await story.node.until_metric(len(playing), "reprise_edge_streams")
    assert (len(playing), refused) == (8, 4)
    assert min(await story.streams_by_worker()) < 8
    story.go_on()
    assert story.all_heard(await asyncio.gather(*playing))


@pytest_asyncio.fixture(loop_scope="module")
async def own_balancer() -> AsyncIterator[ScriptedBalancer]:
    """For an edge that no other story happens to."""
    async with scripted_balancer() as servicer:
        yield servicer


async def test_a_drain_lets_every_worker_finish_and_ends_the_process(
    origin: ScriptedOrigin, own_balancer: ScriptedBalancer, tmp_path: Path
) -> None:
    async with running_node(tmp_path, origin.address, balancers=(own_balancer.address,)) as node:
        story = Story(node, origin, await node.metrics(), next(SEEDS))
        story.hold_before(10)
        clients = story.crowd()
        listening = start(clients)
        await asyncio.gather(*(client.first_byte.wait() for client in clients))
        result = await own_balancer.command(drain=messages.Drain(deadline_s=20))
        assert result.detail == f"draining {CROWD} streams"
        for late in story.crowd(10):
            with pytest.raises(Refused, match="503"):
                await late.listen()
        story.go_on()
        assert story.all_heard(await asyncio.gather(*listening))
        assert [client.reconnects for client in clients] == [0] * CROWD
        await wait_until(lambda: node.process.exit_code() is not None, "the edge has ended")
        assert node.process.exit_code() == 0
        assert node.log().count('"exit_code": 0') == 2, "both workers ended by themselves"
        assert "Traceback" not in node.log()


async def test_workers_die_with_the_node_process_and_the_next_ones_serve_its_disk(
    origin: ScriptedOrigin, own_balancer: ScriptedBalancer, tmp_path: Path
) -> None:
    seed = next(SEEDS)
    audio: Audio = origin.add(make_audio(SIZE, seed))
    async with running_node(tmp_path, origin.address, balancers=(own_balancer.address,)) as node:
        assert (await own_balancer.command(prewarm=messages.Prewarm(rendition_ids=[audio.rendition_id]))).ok
        await node.until_metric(21, "reprise_edge_spilled_chunks_total")
        pids = node.worker_pids()
        # It can do nothing about it itself.
        os.kill(pids[0], signal.SIGSTOP)
        os.kill(node.process.pid, signal.SIGKILL)
        await wait_until(lambda: not any(map(is_running, pids)), "the workers are gone", deadline_s=2)
    async with running_node(tmp_path, origin.address) as node:
        story = Story(node, origin, await node.metrics(), seed)
        assert story.all_heard(await asyncio.gather(*start(story.crowd())))
        assert await story.grew("reprise_edge_requests_total", result="hit_disk") == CROWD
        # What the crowd waited for is verified now.
        assert await Client(node, audio).listen() == audio.data
        assert await story.grew("reprise_edge_sent_bytes_total", source="disk") >= SIZE
    assert set(origin.given_of(audio)) == {1}


async def test_workers_let_go_of_what_the_node_evicts(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with running_node(tmp_path, origin.address, ram_bytes_max=4 * SIZE) as node:
        for _ in range(12):
            story = Story(node, origin, await node.metrics(), next(SEEDS))
            assert story.all_heard(await asyncio.gather(*start(story.crowd(10))))
        assert (await node.metrics()).sum("reprise_edge_evictions_total", tier="ram") > 0
        of_node, *of_workers = (memory_files(pid) for pid in (node.process.pid, *node.worker_pids()))
        assert of_node <= 2 * 4
        assert max(of_workers) <= of_node


async def test_every_worker_takes_a_new_certificate_and_drops_nobody_for_it(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    certificate_path, key_path = write_certificate(tmp_path, "first")
    trust = ssl.create_default_context(cafile=str(certificate_path))
    tls = {"tls_certificate_path": certificate_path, "tls_key_path": key_path}
    async with running_node(tmp_path, origin.address, trust=trust, **tls) as node:
        story = Story(node, origin, await node.metrics(), next(SEEDS))
        story.hold_before(10)
        clients = story.crowd(20)
        listening = start(clients)
        await asyncio.gather(*(client.first_byte.wait() for client in clients))
        assert min(await story.streams_by_worker()) > 0
        write_certificate(tmp_path, "second")
        trust.load_verify_locations(certificate_path)
        async with asyncio.timeout(10):
            # So many in a row are not all from one worker.
            while {await certificate_of(node) for _ in range(12)} != {"second"}:
                await asyncio.sleep(0.1)
        story.go_on()
        assert story.all_heard(await asyncio.gather(*listening))
        assert [client.reconnects for client in clients] == [0] * 20


async def certificate_of(node: NodeProcess) -> str:
    _, writer = await node.connect()
    name: str = writer.get_extra_info("peercert")["subject"][0][0][1]
    writer.close()
    return name


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def memory_files(pid: int) -> int:
    """How many parts of songs a process has open in RAM, by whatever number of descriptors."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if "memfd:reprise" in str(entry.readlink()):
                found.add(entry.stat().st_ino)
    return len(found)
