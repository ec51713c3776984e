"""Logs: structlog, one line an event, to standard error; JSON for machines or console for people."""

import logging
import sys

import structlog

from reprise.config import ConfigError


def start(service: str, log_format: str, level: str = "info") -> None:
    """Sets up logging for this process. `log_format` is "json" or "console". Raises ConfigError."""
    levels = logging.getLevelNamesMapping()
    if log_format not in ("json", "console"):
        raise ConfigError(f"log_format must be json or console, not {log_format!r}")
    if level.upper() not in levels:
        raise ConfigError(f"log_level must be debug, info, warning, error or critical, not {level!r}")
    # Plain tracebacks: the pretty ones print local variables, and with them grants and keys.
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
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
