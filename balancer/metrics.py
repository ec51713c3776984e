"""What the balancer measures about its decisions."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge

from balancer.geography.metrics import GeographyMetrics
from balancer.membership import State
from balancer.mesh import Mesh

_PREFIX = "reprise_balancer_"


class BalancerMetrics:
    """Counters of the balancer, each with its causes as labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(_PREFIX + name, what, labels, registry=registry)

        self.decisions = counter(
            "decisions_total",
            "Routed songs by why the first candidate stands first (replica, overflow, two_choices, spill, panic, retry, stays),"
            " or why there is none (full, no_edge, unknown_song)",
            "reason",
        )
        self.plays = counter(
            "plays_total",
            "Plays that listeners reported: started, connect_failed, no_first_byte, broken, refused",
            "outcome",
        )
        self.plays_dropped = counter(
            "plays_dropped_total", "Reports of plays that were not taken: grant, repeated, rate", "cause"
        )
        self.reports = counter("reports_total", "Messages on report streams by kind", "kind")
        self.streams_ended = counter("report_streams_ended_total", "Report streams that ended, by cause", "cause")
        self.probes = counter("probes_total", "Health probes of suspect edges", "result")
        self.catalog_lookups = counter(
            "catalog_lookups_total",
            "Songs looked up: hit, released, shared, fetched, unknown, stale, failed, refused",
            "result",
        )
        self.commands = counter(
            "commands_total", "Commands to edges: ok, failed, refused, lost, late, unreachable", "result"
        )
        self.purges_owed = counter(
            "purges_owed_total", "Purges sent to edges that had been away: done, failed", "result"
        )
        self.purges_kept = Gauge(_PREFIX + "purges_kept", "Purges of the last day", registry=registry)
        self.purges_forgotten = counter("purges_forgotten_total", "Purges dropped because there were too many")
        self.watches_refused = counter("watches_refused_total", "WatchMesh calls over the limit of watchers")
        self.events = counter("events_total", "Events told to operators, by kind", "kind")
        self.steered = counter(
            "steered_total", "HLS steering manifests: kept or moved the player, or named a start", "way"
        )
        self.watchers = Gauge(_PREFIX + "watchers", "WatchMesh streams", registry=registry)
        self.edges_desired = Gauge(
            _PREFIX + "edges_desired", "Edges that a region should have for its load", ["region"], registry=registry
        )
        self.preheats = counter("preheats_total", "Preheats by outcome: done, late, partial", "outcome")
        self.calendar_age = Gauge(
            _PREFIX + "calendar_age_seconds", "Since the catalog last told the release calendar", registry=registry
        )
        self.calendar_wishes = Gauge(
            _PREFIX + "calendar_wishes", "Releases and orders that have yet to be preheated", registry=registry
        )
        self.prefills = counter(
            "prefills_total", "Songs prefilled on an edge that is to serve them too: done, failed, skipped", "outcome"
        )
        self.directory_failures = counter("directory_failures_total", "Failed calls to Valkey")
        self.directory_up = Gauge(
            _PREFIX + "directory_up", "1 while directory and purges are exchanged with Valkey", registry=registry
        )
        self.geography = GeographyMetrics(registry)
        self.registry = registry

    def watch(self, mesh: Mesh) -> None:
        """Exposes the mesh as it is at the time of each scrape."""
        edges = Gauge(_PREFIX + "edges", "Edges by state", ["state"], registry=self.registry)
        for state in State:
            edges.labels(state.value).set_function(partial(_count, mesh, state))
        ejected = Gauge(_PREFIX + "edges_ejected", "Edges that fail listeners' plays", registry=self.registry)
        ejected.set_function(lambda: mesh.ejections.count())
        doubt = Gauge(_PREFIX + "self_doubt", "1 while failures of edges are not believed", registry=self.registry)
        doubt.set_function(lambda: mesh.doubting)
        pending = Gauge(_PREFIX + "pending_grants", "Grants given and not yet reported", registry=self.registry)
        pending.set_function(lambda: mesh.ledger.grants)
        share = Gauge(
            _PREFIX + "traffic_share",
            "Of the grants that edges see, the part from this balancer",
            registry=self.registry,
        )
        share.set_function(lambda: mesh.ledger.share)
        shown = Gauge(
            _PREFIX + "grants_shown", "Of the grants given, the part that edges see in time", registry=self.registry
        )
        shown.set_function(lambda: mesh.ledger.shown)
        wide = Gauge(_PREFIX + "replicated_songs", "Songs that have more than one edge", registry=self.registry)
        wide.set_function(lambda: mesh.replicas.wide)
        spill = Gauge(
            _PREFIX + "spill_share", "Largest part of new sessions that leaves a region", registry=self.registry
        )
        spill.set_function(lambda: max((region.spill_share for region in mesh.regions()), default=0.0))
        epoch = Gauge(_PREFIX + "view_epoch", "Epoch of the mesh view", registry=self.registry)
        epoch.set_function(lambda: mesh.epoch)


def _count(mesh: Mesh, state: State) -> int:
    return mesh.states().count(state)
