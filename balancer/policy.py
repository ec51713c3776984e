"""The numbers of the balancer's decisions, in one place, so that the simulator sweeps what production uses. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds, shares of a capacity, milliseconds; a name says which."""

    # An edge above `bound_slack` times its region's mean is passed over. Below the floor nobody is crowded, whatever the
    # mean, so that an idle mesh keeps each song at home; above the ceiling everybody is.
    bound_slack: float = 1.25
    bound_floor: float = 0.35
    bound_ceiling: float = 0.92
    # A report older than this counts as the region's mean and `old_report_more`, if that is more than it says.
    old_report_s: float = 3.0
    old_report_more: float = 0.1

    # How much of a median edge one song may take before it gets a further one. Only songs with several edges can be moved
    # about without a miss: at 0.2 they are too few to even out the rest, and the busiest edge has 1.4 times the mean.
    replica_share: float = 0.05
    replicas_grow_s: float = 1.0
    replicas_shrink_s: float = 30.0
    # A new replica is left this long for its prefill.
    prefill_s: float = 2.0
    arrivals_s: float = 10.0

    # An edge that joins gets its full share after `ramp_s`, and this share at once.
    ramp_s: float = 60.0
    ramp_first: float = 0.1

    # A listener who has not come by then went elsewhere; a report would have said so within two.
    pending_s: float = 5.0
    # The first seconds of a stream are sent faster than real time.
    start_burst: float = 4.0

    # New sessions leave a region from the first load on, all of them from the second on.
    spill_from: float = 0.80
    spill_all: float = 0.95
    # Regions as near as the nearest one, give or take, share what is spilled.
    spill_band_ms: float = 30.0
    # From this part of its edges full a region takes no more listeners whose song's own edges are: each would have to be
    # fetched from them, which is load twice.
    exhausted_from: float = 0.1
    # With fewer of its edges in order than this a region is in panic.
    panic_below: float = 0.5

    # What it costs a start that the edge has to fill the song first.
    miss_ms: float = 100.0
    # Starts that differ by less than this, of which nobody hears either, are alike.
    alike: float = 0.1
    alike_ms: float = 20.0


DEFAULT = Policy()
