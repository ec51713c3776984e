"""The catalog's settings; what each means is in docs/configuration.md."""

from dataclasses import dataclass
from pathlib import Path

from catalog.searching.backend_settings import SearchSettings


@dataclass(frozen=True, kw_only=True)
class Settings(SearchSettings):
    """`postgres_dsn` as libpq writes it; keep a password in a passfile or in PGPASSWORD, not here."""

    postgres_dsn: str
    # Further servers, "region=dsn" each; any of all may be the primary, which is found out.
    postgres_replicas: tuple[str, ...] = ()
    # Where this catalog is: reads go to a server there if one keeps up.
    region: str = ""
    # A replica that is further behind is not read.
    replica_lag_s_max: float = 5.0
    s3_endpoint: str
    s3_bucket: str
    s3_credentials_path: Path
    mesh_key_path: Path
    # Signs session tokens.
    session_key_path: Path
    # Public keys of other session keys whose tokens still count.
    session_keys_path: Path | None = None
    # Whether clients without a session may state who they are.
    anonymous_listeners: bool = True
    # CIDRs of proxies whose X-Forwarded-For counts.
    trusted_proxies: tuple[str, ...] = ()
    database_connections_max: int = 10
    database_connect_timeout_s: float = 2.0
    database_statement_timeout_s: float = 2.0
    # How long a start waits for a database that does not answer yet.
    database_wait_s: float = 10.0
    cover_cache_bytes_max: int = 64 << 20
    manifest_cache_bytes_max: int = 32 << 20
    # This process' own folder for its copy of the search index; without it, search is by the database alone.
    index_dir: Path | None = None
    # Takes heartbeats on their way to the database; without it they wait in memory.
    valkey_url: str = ""
    # This process' own folder for user actions while the database is away; without it they are refused then.
    spool_dir: Path | None = None
    spool_bytes_max: int = 16 << 20
