"""Builds a balancer from its settings and runs it: `python -m balancer`."""

import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from balancer import probing, valkey
from balancer.admin_servicer import BalancerAdminServicer
from balancer.calendar import Calendar
from balancer.callers import Callers
from balancer.catalog_client import CatalogClient
from balancer.directory import Directory
from balancer.geography.cidr_file import CidrFile
from balancer.geography.geoip import GeoIp
from balancer.geography.nearness import Geography
from balancer.geography.networks import Networks
from balancer.geography.regions import RegionTable, parse_locations, parse_rtts
from balancer.listeners import Listeners
from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from balancer.minting import Mint
from balancer.operations import Operations
from balancer.pages import PLAY_PREFIX, Pages
from balancer.plays import Plays
from balancer.prefilling import Prefilling
from balancer.preheat import Preheater
from balancer.preheat_orders import PreheatOrders
from balancer.probing import Prober
from balancer.purge_stream import PurgeStream
from balancer.purges import PurgeLog, PurgeOrder
from balancer.purging import Purging
from balancer.readiness import Readiness
from balancer.reports import Reports
from balancer.routing import Router
from balancer.servicer import BalancerServicer
from balancer.settings import Settings
from balancer.song_lookup import SongLookup
from balancer.songs import Songs
from balancer.steering import STEERING_PREFIX
from balancer.valkey import ValkeyLine
from balancer.watching import Watching
from reprise import rpc
from reprise.balancer.v1.balancer_service_pb2_grpc import (
    add_BalancerAdminServiceServicer_to_server,
    add_BalancerServiceServicer_to_server,
)
from reprise.clients import Clients
from reprise.config import read_key, read_public_keys
from reprise.http_message import Route
from reprise.metrics import LoopLag
from reprise.service import App, main
from reprise.session_tokens import Verifier

_clock = time.monotonic


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The balancer, built; its connections to catalog and Valkey close with the context."""
    metrics = BalancerMetrics(CollectorRegistry())
    # Starting from the time of day, epochs grow across restarts of this balancer too.
    mesh = Mesh(epoch=time.time_ns() // 1_000_000, now=_clock(), rng=random.Random())  # noqa: S311  # spreads load, keeps no secret
    metrics.watch(mesh)
    watching = Watching(mesh, metrics, _clock, time.time)
    purges = PurgeLog(metrics.purges_forgotten.inc)
    mint = Mint(
        settings.balancer_id,
        read_key(settings.mesh_key_path, "mesh_key_path"),
        time.time,
        lambda: os.urandom(9).hex(),
    )
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(rpc.channel(settings.catalog_address))
        catalog = CatalogClient(settings.catalog_address, channel, mint.operator)
        songs = Songs(catalog.songs, metrics, _clock)
        where = _Whereabouts(settings, mesh, metrics, stack)
        memory = None
        if settings.valkey_url:
            client = valkey.connect(settings.valkey_url)
            stack.push_async_callback(client.aclose)
            memory = _Memory(client, mesh, purges, songs, watching, metrics)
        yield _app(settings, mesh, catalog, songs, mint, metrics, watching, purges, where, memory)


class _Whereabouts:
    """Where listeners are, and whatever says so."""

    def __init__(self, settings: Settings, mesh: Mesh, metrics: BalancerMetrics, stack: AsyncExitStack) -> None:
        self.clients = Clients(settings.trusted_proxies)
        self.background: list[Callable[[], Coroutine[Any, Any, None]]] = []
        table = RegionTable(parse_rtts(settings.region_rtts), parse_locations(settings.region_locations))
        networks = Networks(metrics.geography.networks_forgotten.inc)
        metrics.geography.watch(lambda: len(networks))
        locate = None
        if settings.geoip_path:
            geoip = GeoIp(settings.geoip_path)
            stack.callback(geoip.close)
            locate = geoip.locate
        self.geography = Geography(table, networks, settings.default_region, locate)
        mesh.on_view(lambda: self.geography.set_mesh(frozenset(mesh.region_names())))
        if settings.regions_cidr_path:
            cidrs = CidrFile(settings.regions_cidr_path, self.geography.set_cidrs, metrics.geography.cidr_reloads)
            cidrs.load()
            self.background.append(cidrs.run)


class _Memory:
    """What is kept in Valkey, and the line to it."""

    def __init__(
        self,
        client: Redis,
        mesh: Mesh,
        purges: PurgeLog,
        songs: Songs,
        watching: Watching,
        metrics: BalancerMetrics,
    ) -> None:
        def elsewhere(order: PurgeOrder) -> None:
            watching.purge_elsewhere(order)
            songs.forget(order.rendition_ids)

        self.line = ValkeyLine(metrics)
        self.directory = Directory(client, mesh, _clock, time.time)
        self.purges = PurgeStream(client, purges, time.time, elsewhere, self.line.soon)
        self.line.add(self.directory.refresh)
        self.line.add(self.purges.exchange)


class _Releases:
    """The release calendar, and what preheats by it."""

    def __init__(
        self,
        catalog: CatalogClient,
        songs: Songs,
        mesh: Mesh,
        reports: Reports,
        watching: Watching,
        metrics: BalancerMetrics,
        settings: Settings,
    ) -> None:
        origin_bps_max = settings.preheat_origin_bps_max
        preheater = Preheater(mesh.alive, reports.ask_edge, watching.note, metrics, time.time, origin_bps_max)
        poll_s = settings.calendar_poll_s
        self.lookup = SongLookup(songs, catalog.upcoming_songs)
        self.calendar = Calendar(catalog.upcoming, songs, preheater, metrics, _clock, time.time, poll_s)
        self.orders = PreheatOrders(self.lookup, preheater, self.calendar, time.time)


def _app(
    settings: Settings,
    mesh: Mesh,
    catalog: CatalogClient,
    songs: Songs,
    mint: Mint,
    metrics: BalancerMetrics,
    watching: Watching,
    purges: PurgeLog,
    where: _Whereabouts,
    memory: _Memory | None,
) -> App:
    callers = Callers(mint.key_of, time.time)
    reports = Reports(mesh, callers, mint, metrics, _clock)
    router = Router(
        mesh,
        songs,
        mint,
        where.geography,
        metrics,
        clock=_clock,
        new_session_id=lambda: secrets.token_urlsafe(12),
    )
    listeners = Listeners(_verifier(settings), time.time)
    pages = Pages(router, where.clients, listeners, metrics)
    purging = Purging(purges, reports, metrics, _clock, time.time, memory.purges if memory else None)
    plays = Plays(mesh, mint.key_of, metrics, _clock, time.time, where.geography.learn)
    prober = Prober(mesh, probing.answers, metrics, _clock, reports.renew_grants)
    loop_lag = LoopLag("balancer")

    async def drain() -> None:
        watching.stop()
        await reports.stop()

    releases = _Releases(catalog, songs, mesh, reports, watching, metrics, settings)
    operations = Operations(mesh, reports, purging, releases.lookup, watching)
    servicer = BalancerServicer(router, reports, plays, where.clients, listeners)
    admin = BalancerAdminServicer(operations, releases.orders, callers)
    prefilling = Prefilling(mesh, reports.ask_edge, metrics)
    work = [prober.run, loop_lag.run, watching.run, purging.run, releases.calendar.run, prefilling.run]
    work += where.background
    return App(
        name="balancer",
        settings=settings,
        servicers=(
            (add_BalancerServiceServicer_to_server, servicer),
            (add_BalancerAdminServiceServicer_to_server, admin),
        ),
        registry=metrics.registry,
        routes=(Route(PLAY_PREFIX, pages.play), Route(STEERING_PREFIX, pages.steer), Route("/", pages.index)),
        ready=Readiness(mesh, lambda: memory is not None and memory.directory.was_read, _clock).missing,
        background=(*work, memory.line.run) if memory else work,
        drain=drain,
        loop_lag=loop_lag,
    )


def _verifier(settings: Settings) -> Verifier | None:
    if not settings.sessions_required or settings.session_keys_path is None:
        return None
    return Verifier(read_public_keys(settings.session_keys_path, "session_keys_path"))


if __name__ == "__main__":
    main("balancer", Settings, build)
