"""What the origin measures: S3 calls and bytes, and where each chunk came from."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class OriginMetrics:
    """Every chunk sent has one source: held, joined or started; so their sum is the chunks sent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.s3_requests = Counter("reprise_origin_s3_requests_total", "S3 requests", ["op"], registry=registry)
        self.s3_read_bytes = Counter(
            "reprise_origin_s3_read_bytes_total", "Bytes of renditions read from S3", registry=registry
        )
        self.s3_failures = Counter(
            "reprise_origin_s3_failures_total", "Failed S3 requests by error", ["op", "error"], registry=registry
        )
        self.s3_retries = Counter(
            "reprise_origin_s3_retries_total",
            "S3 requests that repeat or resume a failed one",
            ["op"],
            registry=registry,
        )
        self.chunks = Counter(
            "reprise_origin_chunks_total",
            "Chunks given to readers: held in the window, joined a live read, or started one",
            ["source"],
            registry=registry,
        )
        self.manifests = Counter(
            "reprise_origin_manifests_total", "Manifests asked for by source", ["source"], registry=registry
        )
        self.refused = Counter(
            "reprise_origin_refused_total", "Reads refused at a limit, by limit", ["limit"], registry=registry
        )
        self.streams = Gauge("reprise_origin_streams", "Open ReadChunks streams", registry=registry)
        self.window_bytes = Gauge("reprise_origin_window_bytes", "Bytes held in the window", registry=registry)
        self.live_reads = Gauge("reprise_origin_live_reads", "S3 reads of renditions under way", registry=registry)
