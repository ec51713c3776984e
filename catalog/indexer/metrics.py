"""What the indexer counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class IndexerMetrics:
    """Counters and gauges of one indexer, in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.writing = Gauge(
            "reprise_indexer_writing", "1 while this indexer writes, 0 while it waits", registry=registry
        )
        self.changes = Counter(
            "reprise_indexer_changes_total", "Changes taken from the outbox into the index", registry=registry
        )
        self.publications = Counter(
            "reprise_indexer_publications_total",
            "Publications of the index by outcome: done, lost (another indexer took over) or failed",
            ["outcome"],
            registry=registry,
        )
        self.publication_delay = Histogram(
            "reprise_indexer_publication_delay_seconds",
            "From the oldest change in a publication to its end",
            registry=registry,
            buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600),
        )
        self.terms = Counter(
            "reprise_indexer_terms_total",
            "Times in office by how they ended: superseded or failed",
            ["end"],
            registry=registry,
        )
        self.rebuilds = Counter(
            "reprise_indexer_rebuilds_total",
            "Rebuilds of the index by outcome: done or failed",
            ["outcome"],
            registry=registry,
        )
        self.documents = Gauge("reprise_indexer_documents", "Documents in the index as published", registry=registry)
        self.size_bytes = Gauge("reprise_indexer_size_bytes", "Bytes of the index as published", registry=registry)
        self.uploaded_bytes = Counter(
            "reprise_indexer_uploaded_bytes_total", "Bytes of index files stored in S3", registry=registry
        )
        self.fetched_bytes = Counter(
            "reprise_indexer_fetched_bytes_total",
            "Bytes of index files fetched from S3 to go on with",
            registry=registry,
        )
        self.deleted_files = Counter(
            "reprise_indexer_deleted_files_total",
            "Index files in S3 deleted because nothing names them",
            registry=registry,
        )
