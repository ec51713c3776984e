"""What one process of the edge has done and is doing, as load reports count it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from typing import Any


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one process, or of several together: then `loop_lag_s` is the worst and all else the sum."""

    loop_lag_s: float = 0.0
    processes: int = 0
    # How many wait for a fill, by rendition; the busiest only.
    waiting: dict[str, int] = field(default_factory=dict)
    # Totals, which outlive their process.
    requests: int = 0
    ram_hits: int = 0
    disk_hits: int = 0
    sent_bytes: int = 0
    cpu_s: float = 0.0
    started_plays: int = 0
    failed_plays: int = 0
    # Of plays that started, by how long the first byte took: see `EdgeMetrics`.
    first_bytes: tuple[int, ...] = ()

    def as_list(self) -> list[Any]:
        """The values in the order of the fields; `of_list` reads them."""
        return [getattr(self, one.name) for one in fields(self)]

    @classmethod
    def of_list(cls, values: list[Any]) -> "Tally":
        tally = cls(*values)
        return replace(tally, first_bytes=tuple(tally.first_bytes))


def added(tallies: Iterable[Tally]) -> Tally:
    """All of `tallies` as one."""
    every = list(tallies)
    waiting: dict[str, int] = {}
    for tally in every:
        for rendition_id, readers in tally.waiting.items():
            waiting[rendition_id] = waiting.get(rendition_id, 0) + readers
    return Tally(
        loop_lag_s=max((tally.loop_lag_s for tally in every), default=0.0),
        processes=sum(tally.processes for tally in every),
        waiting=waiting,
        requests=sum(tally.requests for tally in every),
        ram_hits=sum(tally.ram_hits for tally in every),
        disk_hits=sum(tally.disk_hits for tally in every),
        sent_bytes=sum(tally.sent_bytes for tally in every),
        cpu_s=sum(tally.cpu_s for tally in every),
        started_plays=sum(tally.started_plays for tally in every),
        failed_plays=sum(tally.failed_plays for tally in every),
        first_bytes=tuple(map(sum, zip_longest(*(tally.first_bytes for tally in every), fillvalue=0))),
    )


def departed(tally: Tally) -> Tally:
    """What stays of a process that is gone: what it has done, not what it was doing."""
    return replace(tally, loop_lag_s=0.0, processes=0, waiting={})
