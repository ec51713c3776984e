"""The indexer's settings; what each means is in docs/configuration.md."""

from dataclasses import dataclass
from pathlib import Path

from catalog.searching.backend_settings import SearchSettings


@dataclass(frozen=True, kw_only=True)
class Settings(SearchSettings):
    """`postgres_dsn` as the catalog's; `index_dir` is this process' own."""

    postgres_dsn: str
    s3_endpoint: str
    s3_bucket: str
    s3_credentials_path: Path
    mesh_key_path: Path
    index_dir: Path
    database_connect_timeout_s: float = 2.0
    # A page of everything takes longer than a listener would wait.
    database_statement_timeout_s: float = 30.0
    database_wait_s: float = 10.0
    # How long files stay in S3 that no manifest names any more.
    garbage_grace_s: float = 300.0
