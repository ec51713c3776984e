"""The indexer's settings; what each means is in docs/configuration.md."""

from dataclasses import dataclass
from pathlib import Path

from reprise.service import ServiceSettings


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """`postgres_dsn` as the catalog's; `index_dir` is this process' own. Those of `opensearch_` are for that backend."""

    postgres_dsn: str
    s3_endpoint: str
    s3_bucket: str
    s3_credentials_path: Path
    mesh_key_path: Path
    index_dir: Path
    search_backend: str = "tantivy"
    opensearch_url: str = ""
    opensearch_index: str = "reprise"
    opensearch_password_path: Path | None = None
    database_connect_timeout_s: float = 2.0
    # A page of everything takes longer than a listener would wait.
    database_statement_timeout_s: float = 30.0
    database_wait_s: float = 10.0
    # How long files stay in S3 that no manifest names any more.
    garbage_grace_s: float = 300.0
