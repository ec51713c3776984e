"""An S3 client with every timeout and limit set. Used by the origin, by ingest, and by the catalog's covers and search index.

Object keys are made of hashes only: `renditions/<rendition_id>`, `manifests/<rendition_id>`, `covers/<sha256>`,
`search/files/<generation>/<sha256>`; but for `search/current`, which says which of the latter are in use.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from reprise.config import ConfigError, read_secret

SEARCH_MANIFEST_KEY = "search/current"
SEARCH_FILES_PREFIX = "search/files/"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where audio is kept, and how to sign in. `credentials_path`: a file with two lines, access key and secret key."""

    endpoint: str
    name: str
    credentials_path: Path


def client(bucket: Bucket, *, connections_max: int = 64, attempts_max: int = 3) -> AbstractAsyncContextManager[Any]:
    """An aiobotocore S3 client, to be entered once per process. Reads bodies as `async with response["Body"]`."""
    lines = read_secret(bucket.credentials_path, "s3 credentials").decode().split()
    if len(lines) != 2:
        raise ConfigError(f"{bucket.credentials_path} must have two lines: access key and secret key")
    config = AioConfig(
        connect_timeout=2,
        read_timeout=10,
        max_pool_connections=connections_max,
        retries={"total_max_attempts": attempts_max, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
    )
    session = get_session()
    return session.create_client(  # type: ignore[no-any-return]
        "s3",
        region_name="us-east-1",
        endpoint_url=bucket.endpoint,
        aws_access_key_id=lines[0],
        aws_secret_access_key=lines[1],
        config=config,
    )


def rendition_key(rendition_id: str) -> str:
    """The object that holds a rendition's bytes."""
    return f"renditions/{rendition_id}"


def manifest_key(rendition_id: str) -> str:
    """The object that holds a rendition's signed manifest."""
    return f"manifests/{rendition_id}"


def cover_key(cover_sha256: str) -> str:
    """The object that holds a cover image."""
    return f"covers/{cover_sha256}"


def cover_size_key(cover_sha256: str, edge_px: int) -> str:
    """The object that holds a cover scaled down to at most `edge_px` pixels a side."""
    return f"{cover_key(cover_sha256)}/{edge_px}"


def search_file_key(generation: str, sha256: str) -> str:
    """The object that holds one file of a generation of the search index."""
    return f"{SEARCH_FILES_PREFIX}{generation}/{sha256}"
