"""Logs: structlog, one line an event, to standard error; JSON for machines or console for people.

The only module that imports structlog: everybody else takes a logger from here.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from reprise.config import ConfigError


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Imports of `package` fail inside."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


# structlog loads rich where it is installed, as it is for the command line: a quarter of a service's time to start, for pretty
# tracebacks that print local variables, and with them grants and keys.
with _hidden("rich"):
    import structlog

get_logger = structlog.get_logger


def start(service: str, log_format: str, level: str = "info") -> None:
    """Sets up logging for this process. `log_format` is "json" or "console". Raises ConfigError."""
    levels = logging.getLevelNamesMapping()
    if log_format not in ("json", "console"):
        raise ConfigError(f"log_format must be json or console, not {log_format!r}")
    if level.upper() not in levels:
        raise ConfigError(f"log_level must be debug, info, warning, error or critical, not {level!r}")
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        # Whatever else loaded rich before us: no local variables.
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if log_format == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
