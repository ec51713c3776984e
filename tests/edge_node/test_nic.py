"""Which interface it is, what it can send, and what it sends, from trees like those of /sys and /proc."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.nic import CAPACITY_BPS, SOCKETS, Nic, SentBytes, SmoothRate, default_interface, find
from reprise.config import ConfigError

PUBLIC = "0.0.0.0:8080"
LOOPBACK = "127.0.0.1:0"
ROUTES_4 = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0
wlan0 00000000 0102A8C0 0003 0 0 600 00000000 0 0 0
eth0 00000000 010200C0 0003 0 0 100 00000000 0 0 0
eth9 00000000 00000000 0200 0 0 0 00000000 0 0 0
"""
ROUTES_6 = (
    f"fd{'0' * 30} 40 {'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 00000001     eth7\n"
    f"{'0' * 32} 00 {'0' * 32} 00 fd{'0' * 29}1 00000400 00000003 00000000 00000003     eth6\n"
    f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n"
)


class Kernel:
    """A machine's /sys/class/net and /proc/net."""

    def __init__(self, folder: Path) -> None:
        self.sys, self.proc = folder / "sys", folder / "proc"
        self.sys.mkdir()
        self.proc.mkdir()

    def interface(self, name: str, speed: str = "", sent: int = 0) -> Path:
        statistics = self.sys / name / "statistics"
        statistics.mkdir(parents=True)
        (statistics / "tx_bytes").write_text(f"{sent}\n")
        if speed:
            (self.sys / name / "speed").write_text(speed)
        return statistics / "tx_bytes"

    def routes(self, v4: str = "", v6: str = "") -> None:
        (self.proc / "route").write_text(v4)
        (self.proc / "ipv6_route").write_text(v6)

    def find(self, interface: str = "", capacity_bps: int = 0, http_address: str = PUBLIC) -> Nic:
        return find(interface, capacity_bps, http_address, self.sys, self.proc)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_the_interface_is_that_of_the_default_route_with_the_least_metric(kernel: Kernel) -> None:
    kernel.routes(ROUTES_4, ROUTES_6)
    kernel.interface("eth0", speed="10000\n")
    assert kernel.find() == Nic("eth0", 10_000_000_000)


def test_without_a_default_route_of_ipv4_that_of_ipv6_is_taken(kernel: Kernel) -> None:
    kernel.routes(ROUTES_4.splitlines()[0], ROUTES_6)
    assert default_interface(kernel.proc) == "eth6"


def test_without_a_default_route_the_sockets_are_counted(kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert kernel.find() == Nic("", CAPACITY_BPS)
    assert "no_default_route" in "".join(capsys.readouterr())


def test_on_loopback_and_when_told_so_the_sockets_are_counted(kernel: Kernel) -> None:
    kernel.routes(ROUTES_4)
    assert kernel.find(http_address=LOOPBACK, capacity_bps=7) == Nic("", 7)
    assert kernel.find(SOCKETS, capacity_bps=7) == Nic("", 7)


def test_what_the_operator_says_wins(kernel: Kernel) -> None:
    kernel.routes(ROUTES_4)
    kernel.interface("bond0", speed="40000")
    assert kernel.find("bond0", capacity_bps=5, http_address=LOOPBACK) == Nic("bond0", 5)


@pytest.mark.parametrize("speed", ["-1\n", "0", "", "fast"])
def test_a_link_that_does_not_say_its_speed_asks_for_the_setting_and_gets_a_stated_default(
    kernel: Kernel, speed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.interface("eth0", speed)
    assert kernel.find("eth0").capacity_bps == CAPACITY_BPS
    logged = "".join(capsys.readouterr())
    assert logged.count("link_speed_unknown") == 1
    assert "set nic_capacity_bps" in logged


def test_an_interface_that_is_not_there_is_named_beside_those_that_are(kernel: Kernel) -> None:
    kernel.interface("eth0")
    with pytest.raises(ConfigError, match=r"nic_interface 'eth1'.*eth0"):
        kernel.find("eth1")
    with pytest.raises(ConfigError, match=r"nic_capacity_bps.*-1"):
        kernel.find(capacity_bps=-1)


def test_the_count_stands_still_while_the_interface_is_away(kernel: Kernel) -> None:
    counter = kernel.interface("eth0", sent=70)
    sent = SentBytes("eth0", kernel.sys)
    assert sent() == 70
    counter.unlink()
    assert sent() == 70
    counter.write_text("90")
    assert sent() == 90


def test_a_burst_of_one_sample_is_no_load_and_a_steady_rate_is() -> None:
    rate, now, total = SmoothRate(0, 0.0), 0.0, 0
    for _ in range(50):
        now, total = now + 0.2, total + 200
        rate.take(total, now)
    assert rate.per_s == pytest.approx(1000, rel=0.01)
    rate.take(total + 2000, now + 0.2)
    assert rate.per_s < 2500, "that sample alone was 10,000"


@given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(-5000, 5000)), max_size=30))
def test_a_rate_lies_between_nothing_and_the_fastest_sample(samples: list[tuple[float, int]]) -> None:
    rate, now, total, fastest = SmoothRate(0, 0.0), 0.0, 0, 0.0
    for pause_s, change in samples:
        now, total = now + pause_s, total + change
        fastest = max(fastest, change / pause_s)
        rate.take(total, now)
        assert 0 <= rate.per_s <= fastest * (1 + 1e-6)
