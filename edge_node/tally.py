"""How busy a process of the edge is, as load reports count it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Tally:
    """What one worker does, or several together: then `loop_lag_s` is the worst and all else the sum."""

    committed_bps: int = 0
    loop_lag_s: float = 0.0
    requests: int = 0
    ram_hits: int = 0
    disk_hits: int = 0
    sent_bytes: int = 0
    # By rendition: bits per second that its readers play at, and how many wait.
    heat: dict[str, tuple[int, int]] = field(default_factory=dict)

    def as_list(self) -> list[Any]:
        """The values in the order of the fields; `of_list` reads them."""
        return [getattr(self, one.name) for one in fields(self)]

    @classmethod
    def of_list(cls, values: list[Any]) -> "Tally":
        tally = cls(*values)
        return replace(
            tally, heat={rendition_id: (bps, waiting) for rendition_id, (bps, waiting) in tally.heat.items()}
        )


def added(tallies: Iterable[Tally]) -> Tally:
    """All of `tallies` as one."""
    every = list(tallies)
    heat: dict[str, tuple[int, int]] = {}
    for tally in every:
        for rendition_id, (bps, waiting) in tally.heat.items():
            known_bps, known_waiting = heat.get(rendition_id, (0, 0))
            heat[rendition_id] = (known_bps + bps, known_waiting + waiting)
    return Tally(
        committed_bps=sum(tally.committed_bps for tally in every),
        loop_lag_s=max((tally.loop_lag_s for tally in every), default=0.0),
        requests=sum(tally.requests for tally in every),
        ram_hits=sum(tally.ram_hits for tally in every),
        disk_hits=sum(tally.disk_hits for tally in every),
        sent_bytes=sum(tally.sent_bytes for tally in every),
        heat=heat,
    )


def departed(tally: Tally) -> Tally:
    """What stays of a process that is gone: what it has done, not what it was doing."""
    return Tally(
        requests=tally.requests, ram_hits=tally.ram_hits, disk_hits=tally.disk_hits, sent_bytes=tally.sent_bytes
    )
