"""What happens to the simulated mesh, as values. Pure; times are seconds after the warm-up."""

from dataclasses import dataclass, replace
from enum import StrEnum

Gbps, Mbps = 1_000_000_000, 1_000_000


class Happening(StrEnum):
    """What befalls edges."""

    KILL = "kill"  # gone without a word
    JOIN = "join"  # new ones, with empty caches
    DRAIN = "drain"  # one after the other: no new listeners, stopped after a while, back with their caches
    GRAY = "gray"  # the NIC gives a tenth of what it says
    SINK = "sink"  # every play fails at once, reports look idle


@dataclass(frozen=True, slots=True)
class Event:
    """At `at_s`, `share` of the edges (at least one) are met by `what`."""

    at_s: float
    what: Happening
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One experiment. `load` is what all listeners hear over what all NICs carry."""

    name: str
    says: str
    load: float = 0.7
    # Capacities of the NICs, dealt to the edges in turn.
    nics_bps: tuple[int, ...] = (100 * Mbps,)
    alpha: float = 0.9
    songs: int = 20_000
    # One edge's cache as a share of all songs' bytes.
    cache_share: float = 0.01
    # Share of the listeners by region; edges are dealt to regions evenly.
    regions: tuple[float, ...] = (1.0,)
    balancers: int = 1
    report_delay_s: float = 0.02
    # From the first moment on, within 10 s, this share of all new plays is one song that no edge has.
    flash_share: float = 0.0
    events: tuple[Event, ...] = ()
    # Only this share of the edges is asked for: few large ones have many plays in each report interval.
    edges_share: float = 1.0


STEADY = Scenario("steady-70", "nothing happens at 70 % load")
FLASH_AT_S = 20.0

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        STEADY,
        *(replace(STEADY, name=f"steady-{load}", says=f"{load} % load", load=load / 100) for load in (50, 85, 95, 110)),
        replace(STEADY, name="zipf-0.7", says="songs are heard more evenly", alpha=0.7),
        replace(STEADY, name="zipf-1.1", says="few songs are heard by most", alpha=1.1),
        replace(STEADY, name="mixed", says="NICs of 4:1", load=0.65, nics_bps=(160 * Mbps, 40 * Mbps)),
        replace(
            STEADY, name="busy", says="few edges with many plays each second", nics_bps=(500 * Mbps,), edges_share=0.2
        ),
        replace(STEADY, name="flash", says="a release takes 30 % of all plays within 10 s", load=0.6, flash_share=0.3),
        replace(STEADY, name="death", says="one edge dies", events=(Event(30, Happening.KILL),)),
        replace(
            STEADY, name="zone", says="a fifth of the edges dies", load=0.6, events=(Event(30, Happening.KILL, 0.2),)
        ),
        replace(STEADY, name="join", says="one edge joins with an empty cache", events=(Event(30, Happening.JOIN),)),
        replace(
            STEADY, name="grow", says="a quarter more edges join", load=0.8, events=(Event(30, Happening.JOIN, 0.25),)
        ),
        replace(
            STEADY,
            name="drain",
            says="a third of the edges restarts in turn",
            events=(Event(10, Happening.DRAIN, 0.34),),
        ),
        replace(STEADY, name="gray", says="a NIC falls to a tenth", events=(Event(30, Happening.GRAY),)),
        replace(STEADY, name="sink", says="an edge fails every play at once", events=(Event(30, Happening.SINK),)),
        replace(STEADY, name="spill", says="three regions, one at 105 %", regions=(0.5, 0.25, 0.25)),
        *(
            replace(STEADY, name=f"delay-{delay:g}", says=f"reports are {delay:g} s old", report_delay_s=delay)
            for delay in (0.2, 1.0, 5.0, 15.0, 30.0)
        ),
        *(
            replace(STEADY, name=f"balancers-{count}", says=f"{count} balancers share the listeners", balancers=count)
            for count in (2, 3, 5)
        ),
    )
}
