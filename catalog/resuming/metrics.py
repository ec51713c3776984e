"""What is counted of resume points."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ResumeMetrics:
    """Counters and gauges of one catalog, in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.saves = Counter(
            "reprise_catalog_progress_saves_total",
            "Saves by kind and outcome: accepted, apart, resent, stale, spooled or refused",
            ["kind", "outcome"],
            registry=registry,
        )
        self.heartbeats_pending = Gauge(
            "reprise_catalog_heartbeats_pending",
            "Heartbeats on their way to the database, in memory or in valkey",
            ["where"],
            registry=registry,
        )
        self.heartbeats_written = Counter(
            "reprise_catalog_heartbeats_written_total",
            "Heartbeats that batches brought to the database: written, or passed over for a newer point",
            ["outcome"],
            registry=registry,
        )
        self.heartbeats_overflowed = Counter(
            "reprise_catalog_heartbeats_overflowed_total",
            "Heartbeats that went another way because their place was full: valkey, or memory",
            ["where"],
            registry=registry,
        )
        self.valkey_failures = Counter(
            "reprise_catalog_valkey_failures_total", "Calls that Valkey did not answer in time", registry=registry
        )
        self.valkey_up = Gauge("reprise_catalog_valkey_up", "Whether Valkey is being asked", registry=registry)
        self.spool_records = Gauge(
            "reprise_catalog_spool_records", "Actions on disk that the database does not have yet", registry=registry
        )
        self.spool_bytes = Gauge("reprise_catalog_spool_bytes", "Bytes of the spool on disk", registry=registry)
        self.spool_age = Gauge(
            "reprise_catalog_spool_age_seconds", "Since the oldest action in the spool was taken", registry=registry
        )
        self.spool_refused = Counter(
            "reprise_catalog_spool_refused_total",
            "Actions not spooled, by cause: full or disk",
            ["cause"],
            registry=registry,
        )
        self.spool_replayed = Counter(
            "reprise_catalog_spool_replayed_total",
            "Actions from the spool: applied, apart, known (the database had them or newer) or dropped (unknown song)",
            ["outcome"],
            registry=registry,
        )
        self.spool_torn_bytes = Counter(
            "reprise_catalog_spool_torn_bytes_total",
            "Bytes at the end of a spool file that make no whole record",
            registry=registry,
        )
