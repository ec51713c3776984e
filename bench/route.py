"""`./scripts/bench route`: how many routes a balancer answers per CPU second, by gRPC, gRPC-web and `/play/`, and picks alone.

A real balancer process on one core, with real report streams of as many edges as asked; songs are asked for as often as a Zipf
law says. Each route names three candidates, each with a grant that is signed for it. Only a steady stretch counts, as in `bench
edge`.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from balancer.edges import EdgeIdentity, EdgeLoad
from balancer.mesh import Mesh
from balancer.minting import Mint
from balancer.orders import LENGTH
from balancer.picking import Play
from bench import report
from bench.grpc_load import hear, run_grpc
from bench.launch import CLIENT_CORE, SERVER_CORE, Missing, Server
from bench.load import Load, LoadFailed, Plan
from bench.options import names, numbers
from bench.report import Column
from bench.routed_world import NIC_BPS, REGION, STREAM_LIMIT
from bench.servers import Servers
from bench.songs import MESH_KEY
from bench.wrk import exchange, http_request, run_wrk
from reprise.balancer.v1.balancer_service_pb2 import RouteRequest
from reprise.grpc_web_frames import data_head
from reprise.placement import Members

ROUTE = "/reprise.balancer.v1.BalancerService/Route"
GRPC, WEB, PLAY = "grpc", "grpc-web", "play"
_SEED = 6
SONGS, ASKS = 20_000, 2_000
# Requests before anything counts: the catalog has been asked for most of them by then.
WARM_ANSWERS = 2 * ASKS
PICKS = 20_000
COLUMNS = (
    Column("door", "door"),
    Column("edges", "edges"),
    Column("connections", "connections"),
    Column("routes/s", "routes_s"),
    Column("routes/CPU s", "routes_cpu_s"),
    Column("µs of CPU a route", "us"),
    Column("core %", "core_percent"),
    Column("RSS MiB", "rss_mib"),
    Column("errors", "errors"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one door."""

    routes: float
    seconds: float
    cpu_s: float
    rss_bytes: int
    errors: int


def song_ids() -> list[str]:
    """The songs of the load, in the order in which they are asked for."""
    rng = random.Random(_SEED)
    weights = list(accumulate(1 / rank for rank in range(1, SONGS + 1)))
    ranks = rng.choices(range(SONGS), cum_weights=weights, k=ASKS)
    return [f"0190c7a2-0000-7000-8000-{rank:012x}" for rank in ranks]


def web_bytes(message: bytes) -> bytes:
    headers = {"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}
    return http_request("POST", ROUTE, headers, data_head(len(message)) + message)


def measure(folder: Path, server: Server, door: str, connections: int, seconds: float) -> Sample:
    """One round. Raises LoadFailed, Missing."""
    asked = song_ids()
    messages = [RouteRequest(song_ids=[song_id]).SerializeToString() for song_id in asked]
    load: Load
    if door == GRPC:
        size = len(hear(server, messages[0], ROUTE)[0])
        load = run_grpc(folder, server, messages, Plan(connections, WARM_ANSWERS * size, seconds), ROUTE)
    else:
        requests = list(map(web_bytes, messages)) if door == WEB else [_play_bytes(song_id) for song_id in asked]
        size = exchange(server.http_port, requests[0], status_max=399).wire_bytes - len("Connection: close\r\n")
        load = run_wrk(folder, server, requests, Plan(connections, WARM_ANSWERS * size, seconds))
    return Sample(load.received_bytes / size, load.seconds, load.server_cpu_s, server.rss_bytes(), load.errors)


def _play_bytes(song_id: str) -> bytes:
    return http_request("GET", f"/play/{song_id}", {})


def picks_per_cpu_s(edges: int) -> float:
    """Picks and assignments of the production code in this process, without any service around it."""
    now = time.monotonic()
    mesh = Mesh(epoch=1, now=now, rng=random.Random(_SEED))
    for number in range(edges):
        edge_id = f"edge-{number:04}"
        identity = EdgeIdentity(edge_id, REGION, "127.0.0.1:1", "http://127.0.0.1:1", "boot", NIC_BPS, STREAM_LIMIT)
        mesh.report(edge_id, mesh.hello(identity, now), EdgeLoad(sequence=1), now)
    asked = song_ids()
    began = time.process_time()
    for number in range(PICKS):
        song_id = asked[number % len(asked)]
        play = Play(song_id, 96_000, ((REGION, 0.0),), f"listener-{number}")
        first = mesh.pick(play, now)[0]
        mesh.assign(first.edge_id, song_id, f"grant-{number}", 96_000, now)
        now += 0.0002
    return PICKS / (time.process_time() - began)


def orders_per_cpu_s(edges: int) -> float:
    """Orders of songs that nobody asked for before, over so many edges."""
    members = Members({f"edge-{number:04}": NIC_BPS for number in range(edges)})
    return _per_cpu_s(lambda number: members.order(f"{number:064x}", LENGTH))


def grants_per_cpu_s() -> float:
    """Grants for songs as they are asked for."""
    mint = Mint("balancer-1", MESH_KEY, time.time, lambda: os.urandom(9).hex())
    asked = song_ids()
    return _per_cpu_s(lambda number: mint.listen("edge-1", "listener", asked[number % ASKS], "ab" * 32, 96_000))


def _per_cpu_s(call: Callable[[int], object]) -> float:
    began = time.process_time()
    for number in range(PICKS):
        call(number)
    return PICKS / (time.process_time() - began)


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """All rounds, the doors in turn."""
    samples: dict[tuple[str, int, int], list[Sample]] = defaultdict(list)
    rows: list[dict[str, object]] = []
    for edges in options.edges:
        with tempfile.TemporaryDirectory(prefix="reprise-bench-") as name, Servers(Path(name)) as servers:
            server = servers.routed_balancer(edges, core=SERVER_CORE, world_core=CLIENT_CORE)
            servers.wait_reported(server, edges)
            for turn in range(options.rounds):
                for door in options.doors:
                    for connections in options.connections:
                        report.say(f"{edges} edges, round {turn + 1}: {door}, {connections} connections")
                        sample = measure(Path(name), server, door, connections, options.seconds)
                        samples[door, edges, connections].append(sample)
        rows.append(_alone("pick, in process", edges, [picks_per_cpu_s(edges) for _ in range(options.rounds)]))
        rows.append(_alone("order of a new song", edges, [orders_per_cpu_s(edges) for _ in range(options.rounds)]))
    rows.append(_alone("grant", None, [grants_per_cpu_s() for _ in range(options.rounds)]))
    return [_row(*case, found) for case, found in samples.items()] + rows


def _alone(what: str, edges: int | None, found: Sequence[float]) -> dict[str, object]:
    """A step of a route without a service around it."""
    return {"door": what, "edges": edges, "routes_cpu_s": report.median(found), "us": 1e6 / report.median(found)}


def _row(door: str, edges: int, connections: int, found: Sequence[Sample]) -> dict[str, object]:
    def middle(figure: Callable[[Sample], float]) -> float:
        return report.median([figure(sample) for sample in found])

    return {
        "door": door,
        "edges": edges,
        "connections": connections,
        "routes_s": middle(lambda s: s.routes / s.seconds),
        "routes_cpu_s": middle(lambda s: s.routes / s.cpu_s),
        "us": middle(lambda s: s.cpu_s / s.routes * 1e6),
        "core_percent": middle(lambda s: s.cpu_s / s.seconds * 100),
        "rss_mib": middle(lambda s: s.rss_bytes / 2**20),
        "errors": sum(sample.errors for sample in found),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench route", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round that count")
    parser.add_argument("--edges", type=numbers, default=[10, 100])
    parser.add_argument("--connections", type=numbers, default=[16])
    parser.add_argument("--doors", type=names((GRPC, WEB, PLAY)), default=[GRPC, WEB, PLAY])
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    return parser.parse_args()


def main() -> int:
    options, machine = _options(), report.machine()
    try:
        rows = run(options)
    except (Missing, LoadFailed) as error:
        print(f"bench route: {error}", file=sys.stderr)
        return 1
    print(f"{machine}\n{options.rounds} rounds of {options.seconds:g} s; medians\n\n{report.table(COLUMNS, rows)}")
    report.write_json(options.json, {"machine": machine, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
