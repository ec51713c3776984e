"""What the catalog counts. Every outcome of a call is one label value, so that sums are complete."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class CatalogMetrics:
    """Counters and gauges of one catalog, in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.searches = Counter(
            "reprise_catalog_searches_total",
            "First pages by who answered, index or database, and the tier of their best hit, none, or busy when refused",
            ["backend", "tier"],
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
        self.takedowns = Counter(
            "reprise_catalog_takedowns_total",
            "Songs and releases by what became of them: taken_down or restored",
            ["outcome"],
            registry=registry,
        )
        self.merges = Counter(
            "reprise_catalog_merges_total",
            "Merges by what was merged: song, artist or release",
            ["kind"],
            registry=registry,
        )
        self.change_watchers = Gauge(
            "reprise_catalog_change_watchers", "Open streams of WatchChanges", registry=registry
        )
        self.change_watchers_refused = Counter(
            "reprise_catalog_change_watchers_refused_total", "Streams of WatchChanges over the bound", registry=registry
        )
        self.changes_pruned = Counter(
            "reprise_catalog_changes_pruned_total",
            "Changes dropped from the outbox, by age or number",
            registry=registry,
        )
        self.database = DatabaseMetrics(registry)
        self.covers = Counter(
            "reprise_catalog_covers_total",
            "Cover requests by result: hit, miss, not_modified, invalid, missing, unavailable, corrupt",
            ["result"],
            registry=registry,
        )
        self.cover_cache_bytes = Gauge(
            "reprise_catalog_cover_cache_bytes", "Bytes of covers in memory", registry=registry
        )


class DatabaseMetrics:
    """What the way to PostgreSQL counts; `server` is "host:port"."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.failures = Counter(
            "reprise_catalog_database_failures_total",
            "Attempts that a server did not serve, by cause",
            ["cause"],
            registry=registry,
        )
        self.reads = Counter(
            "reprise_catalog_database_reads_total",
            "Reads by server, and whether it had seen what it must: fresh or stale",
            ["server", "outcome"],
            registry=registry,
        )
        self.waits = Counter(
            "reprise_catalog_database_waits_total",
            "Reads that waited for a standby to see a listener's own save: seen, or gave_up and went elsewhere",
            ["outcome"],
            registry=registry,
        )
        self.failovers = Counter(
            "reprise_catalog_database_failovers_total",
            "Promotions seen: the primary is on a newer timeline",
            registry=registry,
        )
        self.servers = Gauge(
            "reprise_catalog_database_servers",
            "1 for what a server is: primary, standby, fenced (a primary that was replaced) or missing",
            ["server", "role"],
            registry=registry,
        )
        self.lag = Gauge(
            "reprise_catalog_database_lag_seconds",
            "How long ago the primary was where this standby is; +Inf when longer than is remembered",
            ["server"],
            registry=registry,
        )
        self.connections_in_use = Gauge(
            "reprise_catalog_database_connections_in_use",
            "Connections checked out of a server's pool",
            ["server"],
            registry=registry,
        )
