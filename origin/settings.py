"""What the origin is told: REPRISE_ORIGIN_<FIELD> or TOML."""

from dataclasses import dataclass
from pathlib import Path

from reprise.chunks import CHUNK_BYTES
from reprise.config import ConfigError
from reprise.service import ServiceSettings


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """Every limit has a default that suits one machine."""

    s3_endpoint: str
    s3_bucket: str
    s3_credentials_path: Path
    mesh_key_path: Path
    # Chunks kept in memory for readers that come shortly after one another.
    window_bytes_max: int = 256 << 20
    # One S3 read, and so what is read for nobody at most after its readers left.
    read_bytes_max: int = 8 << 20
    s3_reads_max: int = 32
    s3_reads_waiting_max: int = 256
    s3_wait_s_max: float = 3.0
    # Silence of S3 that ends one attempt, and silence that ends the read.
    s3_idle_s_max: float = 1.5
    s3_patience_s: float = 3.0
    # A stream whose reader takes nothing for so long is ended.
    stream_stall_s_max: float = 30.0

    def __post_init__(self) -> None:
        for name in ("window_bytes_max", "read_bytes_max"):
            if getattr(self, name) < CHUNK_BYTES:
                raise ConfigError(f"{name} must be at least one chunk, {CHUNK_BYTES}, not {getattr(self, name)}")
        for name in ("s3_reads_max", "s3_wait_s_max", "s3_idle_s_max", "s3_patience_s", "stream_stall_s_max"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be positive, not {getattr(self, name)}")
