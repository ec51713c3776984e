"""The settings that say which search engine there is: the same for the catalog, which reads, and the indexer, which writes."""

from dataclasses import dataclass
from pathlib import Path

from reprise.config import ConfigError
from reprise.service import ServiceSettings

TANTIVY, OPENSEARCH = "tantivy", "opensearch"


@dataclass(frozen=True, kw_only=True)
class SearchSettings(ServiceSettings):
    """What both services are told. The `opensearch_` settings are for that backend."""

    search_backend: str = TANTIVY
    opensearch_url: str = ""
    opensearch_index: str = "reprise"
    opensearch_user: str = ""
    opensearch_password_path: Path | None = None

    def __post_init__(self) -> None:
        if self.search_backend not in (TANTIVY, OPENSEARCH):
            raise ConfigError(f"search_backend must be {TANTIVY} or {OPENSEARCH}, not {self.search_backend!r}")
        if self.search_backend == OPENSEARCH and not self.opensearch_url:
            raise ConfigError("search_backend is opensearch: opensearch_url must say where it is")
