"""What the catalog counts. Every outcome of a call is one label value, so that sums are complete."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class CatalogMetrics:
    """Counters and gauges of one catalog, in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.searches = Counter(
            "reprise_catalog_searches_total",
            "First pages by the tier of their best hit, or none",
            ["tier"],
            registry=registry,
        )
        self.publications = Counter(
            "reprise_catalog_publications_total",
            "Publications by outcome: created or known",
            ["outcome"],
            registry=registry,
        )
        self.releases = Counter(
            "reprise_catalog_releases_total",
            "Releases given a moment by outcome: scheduled, published (at once) or unchanged",
            ["outcome"],
            registry=registry,
        )
        self.progress_saves = Counter(
            "reprise_catalog_progress_saves_total",
            "Saves by outcome: accepted, resent or stale",
            ["outcome"],
            registry=registry,
        )
        self.database_failures = Counter(
            "reprise_catalog_database_failures_total",
            "Attempts that the database did not serve, by cause",
            ["cause"],
            registry=registry,
        )
        self.database_connections_in_use = Gauge(
            "reprise_catalog_database_connections_in_use", "Connections checked out of the pool", registry=registry
        )
        self.covers = Counter(
            "reprise_catalog_covers_total",
            "Cover requests by result: hit, miss, not_modified, invalid, missing, unavailable, corrupt",
            ["result"],
            registry=registry,
        )
        self.cover_cache_bytes = Gauge(
            "reprise_catalog_cover_cache_bytes", "Bytes of covers in memory", registry=registry
        )
