"""What the balancer measures about where listeners are."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

_PREFIX = "reprise_balancer_"


class GeographyMetrics:
    """Counters of evidence, and of what is kept of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.evidence = Counter(
            _PREFIX + "region_evidence_total",
            "Routes by what said which region is nearest: asked, measured, learned, cidr, geoip, default",
            ["evidence"],
            registry=registry,
        )
        self.cidr_reloads = Counter(
            _PREFIX + "regions_cidr_reloads_total",
            "Changed files of regions_cidr_path: taken, refused",
            ["result"],
            registry=registry,
        )
        self.networks_forgotten = Counter(
            _PREFIX + "learned_networks_forgotten_total",
            "Networks dropped because there were too many",
            registry=registry,
        )
        self._networks = Gauge(
            _PREFIX + "learned_networks", "Networks whose round trips were learned lately", registry=registry
        )

    def watch(self, learned_networks: Callable[[], int]) -> None:
        """Exposes the number as it is at the time of each scrape."""
        self._networks.set_function(learned_networks)
