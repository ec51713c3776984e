"""Connections to an OpenSearch cluster, with every limit set. The library is an optional extra: it is imported only here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from catalog.searching.backend_settings import SearchSettings
from catalog.searching.manifest import THIS_BUILD
from reprise.config import ConfigError, read_secret
from reprise.errors import Conflict, InvalidRequest, NotFound, Unavailable

SEARCH_S_MAX = 2.0
WRITE_S_MAX = 30.0
_CONNECTIONS_MAX = 16


def async_client(settings: SearchSettings) -> Any:
    """For searching; an `opensearchpy.AsyncOpenSearch`, to be closed."""
    return _library().AsyncOpenSearch(**_options(settings, SEARCH_S_MAX))


def client(settings: SearchSettings) -> Any:
    """For writing, on threads; an `opensearchpy.OpenSearch`, to be closed."""
    return _library().OpenSearch(**_options(settings, WRITE_S_MAX))


def alias_of(settings: SearchSettings) -> str:
    """The name under which the index is searched that this build understands: builds that differ never meet."""
    return f"{settings.opensearch_index}-{THIS_BUILD.normaliser}-{THIS_BUILD.schema}"


@contextmanager
def failures(doing: str) -> Iterator[None]:
    """Names what the cluster's answers mean here."""
    from opensearchpy.exceptions import OpenSearchException, TransportError

    try:
        yield
    except TransportError as failure:
        meaning = _MEANING.get(failure.status_code, Unavailable)
        raise meaning(f"{doing}: the OpenSearch cluster answers {failure.status_code} {failure.error}") from None
    except OpenSearchException as failure:
        raise Unavailable(f"{doing}: {type(failure).__name__}", retry_after_s=1) from None


_MEANING: dict[int | str, type[Unavailable | Conflict | NotFound | InvalidRequest]] = {404: NotFound, 409: Conflict}


def _library() -> Any:
    try:
        import opensearchpy
    except ImportError:
        raise ConfigError(
            "search_backend is opensearch, but its client is not installed: pip install 'reprise-mesh[opensearch]'"
        ) from None
    return opensearchpy


def _options(settings: SearchSettings, timeout_s: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "hosts": [settings.opensearch_url],
        "timeout": timeout_s,
        "max_retries": 0,
        "retry_on_timeout": False,
        "pool_maxsize": _CONNECTIONS_MAX,
    }
    if settings.opensearch_password_path is not None:
        password = read_secret(settings.opensearch_password_path, "opensearch_password_path").decode()
        options["http_auth"] = (settings.opensearch_user, password)
    return options
