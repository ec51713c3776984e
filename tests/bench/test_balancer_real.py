"""The simulated side of the validation is the real mesh's twin: the same names, homes and listeners, and one death."""

import hashlib

import pytest

from bench.balancer.homes import Rendezvous, edge_name
from bench.balancer.workload import Workload
from bench.balancer_real.arrivals import BITRATE_BPS, KILL_S, RealCatalog, make_workload, popularity
from bench.balancer_real.simulated import simulate
from reprise.placement import Members

EDGES, NIC_BPS, LOAD = 6, 8_000_000, 0.5


@pytest.fixture(scope="module")
def workload() -> Workload:
    ids = [hashlib.sha256(bytes([number])).hexdigest() for number in range(24)]
    return make_workload(RealCatalog([90.0] * 24, popularity(24, 0.9), ids), EDGES, NIC_BPS, LOAD, seed=3)


def test_both_sides_mean_the_same_edge_by_a_name_and_the_same_home_of_a_song(workload: Workload) -> None:
    real = Members({f"edge-{number}": NIC_BPS for number in range(1, EDGES + 1)})
    simulated = Rendezvous(dict.fromkeys(range(1, EDGES + 1), NIC_BPS))
    for rendition in range(0, len(workload.catalog.ids), 4):
        rendition_id = workload.catalog.ids[rendition]
        assert [edge_name(edge) for edge in simulated.order(rendition_id)] == real.order(rendition_id)


def test_the_load_is_what_was_asked_for_and_each_listener_has_one_song_after_the_other(workload: Workload) -> None:
    assert len(workload.regions) * BITRATE_BPS == pytest.approx(LOAD * EDGES * NIC_BPS, rel=0.01)
    assert [turn.at_s for turn in workload.turns] == sorted(turn.at_s for turn in workload.turns)
    assert {turn.listener for turn in workload.turns if turn.at_s < KILL_S} == set(range(len(workload.regions)))


def test_a_simulated_run_moves_whom_the_death_strikes_and_nobody_else(workload: Workload) -> None:
    outcome = simulate(workload, seed=1)
    assert outcome.listeners == len(workload.regions)
    assert outcome.moved == outcome.on_the_dead > 0
    assert outcome.failed == 0
    assert outcome.starts >= outcome.hits > 0
    assert all(1 <= peak <= EDGES for peak in outcome.peaks)
