"""What an import is told: REPRISE_INGEST_<FIELD> or TOML. What to import comes from the command line."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the results go, with which keys, and the limits per file."""

    catalog_address: str
    s3_endpoint: str
    s3_bucket: str
    s3_credentials_path: Path
    manifest_key_path: Path
    operator_key_path: Path
    # As the services have it: with it the catalog is called by TLS.
    tls_ca_path: Path | None = None
    # What each song is encoded to, in the order in which it is listed; flac for lossless sources only.
    ladder: str = "opus:96,opus:160,aac:128,flac"
    # A worker that needs longer for one file is stopped, and the file named.
    file_timeout_s: float = 900.0
    # With --watch: how often folders are scanned; a file is taken when two scans find it unchanged.
    watch_every_s: float = 5.0
    # Longer than this is not a song: it would hold a worker and its memory for too long.
    song_s_max: int = 4 * 3600
