"""Which servers there are, from the settings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from reprise.config import ConfigError

_REPLICA = re.compile(r"([A-Za-z0-9_-]{1,64})=(postgres(?:ql)?://.+)")


@dataclass(frozen=True, slots=True)
class Address:
    """A server: `name` is for metrics and logs and holds no secret. Which of them is the primary is found out."""

    name: str
    region: str
    dsn: str


def addresses(dsn: str, replicas: Sequence[str]) -> list[Address]:
    """The servers of `postgres_dsn` and `postgres_replicas`, each once. Raises ConfigError."""
    regions = {dsn: ""}
    for entry in replicas:
        found = _REPLICA.fullmatch(entry)
        if found is None:
            shown = re.sub(r"[^A-Za-z0-9_-].*", "", entry)[:64]
            raise ConfigError(f'postgres_replicas: {shown!r}... must be "region=postgresql://..."')
        regions[found[2]] = found[1]
    return [Address(_name(one), region, one) for one, region in regions.items()]


def _name(dsn: str) -> str:
    try:
        return urlsplit(dsn).netloc.rpartition("@")[2] or "default"
    except ValueError:  # it will be refused where it is used
        return "malformed"
