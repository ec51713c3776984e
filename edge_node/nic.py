"""The network interface: which one it is, what it can send, what it sends. Reads /sys and /proc when asked, keeps nothing.

Throughput is what left the interface by the kernel's count, so it has everything on it: headers, other processes, what edges
relay. Capacity is never guessed from a promise: it is the setting, else the speed of the link, else a stated default.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reprise.config import ConfigError
from reprise.log import get_logger

log = get_logger()
# Where neither the setting nor the link says.
CAPACITY_BPS = 1_000_000_000
# `nic_interface` of an edge that shares its interface with others: what it gave to its sockets is counted.
SOCKETS = "sockets"
HALF_LIFE_S = 1.0

_SYS = Path("/sys/class/net")
_PROC = Path("/proc/net")
_LOOPBACK = ("127.", "localhost:", "[::1]:")
# Of linux/route.h and linux/ipv6_route.h.
_UP, _REJECT = 0x0001, 0x0200


@dataclass(frozen=True, slots=True)
class Nic:
    """An interface, empty for the edge's own sockets, and what it can send for as long as it has to."""

    interface: str
    capacity_bps: int


def find(setting: str, capacity_bps: int, http_address: str, sys: Path = _SYS, proc: Path = _PROC) -> Nic:
    """The NIC that listeners are served by. Raises ConfigError when a setting names what is not there."""
    if capacity_bps < 0:
        raise ConfigError(f"nic_capacity_bps must be at least 1, or 0 for the speed of the link, not {capacity_bps}")
    interface = _interface(setting, http_address, sys, proc)
    return Nic(interface, capacity_bps or _link_bps(interface, sys))


class SentBytes:
    """The kernel's count of bytes that an interface has sent. It stands still while the interface is away."""

    def __init__(self, interface: str, sys: Path = _SYS) -> None:
        self._path = sys / interface / "statistics" / "tx_bytes"
        self._last = 0
        self._away = False

    def __call__(self) -> int:
        try:
            self._last = int(self._path.read_text())
        except OSError as error:
            if not self._away:
                log.warning("interface_gone", path=str(self._path), reason=error.strerror)
            self._away = True
        else:
            self._away = False
        return self._last


class SmoothRate:
    """What a total grows by, per second, smoothed so that one burst is no load. Pure."""

    def __init__(self, total: int, now: float, half_life_s: float = HALF_LIFE_S) -> None:
        self.per_s = 0.0
        self._half_life_s = half_life_s
        self._total = total
        self._then = now

    def take(self, total: int, now: float) -> None:
        """The total at this moment. One that went back, as that of an interface that was made anew, counts as nothing."""
        elapsed_s = now - self._then
        if elapsed_s > 0:
            latest = max(0, total - self._total) / elapsed_s
            self.per_s += (latest - self.per_s) * (1 - 2 ** (-elapsed_s / self._half_life_s))
            self._total, self._then = total, now


def _interface(setting: str, http_address: str, sys: Path, proc: Path) -> str:
    if setting == SOCKETS or (not setting and http_address.startswith(_LOOPBACK)):
        return ""
    if setting:
        if not (sys / setting / "statistics" / "tx_bytes").is_file():
            there = ", ".join(sorted(path.name for path in sys.iterdir())) if sys.is_dir() else "none"
            raise ConfigError(f"nic_interface {setting!r}: no such network interface; there are: {there}")
        return setting
    interface = default_interface(proc)
    if not interface:
        log.warning(
            "no_default_route", counted="sockets", advice="set nic_interface to the one that listeners are behind"
        )
    return interface


def default_interface(proc: Path = _PROC) -> str:
    """The interface of the default route, IPv4 before IPv6, the least metric first; empty without one."""
    for routes in (_routes_4(_lines(proc / "route")), _routes_6(_lines(proc / "ipv6_route"))):
        found = sorted(
            (metric, name) for metric, name, flags in routes if flags & (_UP | _REJECT) == _UP and name != "lo"
        )
        if found:
            return found[0][1]
    return ""


def _routes_4(lines: list[list[str]]) -> Iterator[tuple[int, str, int]]:
    """(metric, interface, flags) of default routes; behind a line of headings."""
    for line in lines[1:]:
        if line[1] == line[7] == "00000000":
            yield int(line[6]), line[0], int(line[3], 16)


def _routes_6(lines: list[list[str]]) -> Iterator[tuple[int, str, int]]:
    for line in lines:
        if line[:2] == ["0" * 32, "00"]:
            yield int(line[5], 16), line[9], int(line[8], 16)


def _lines(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text().splitlines() if line.strip()]
    except OSError:  # A kernel without this family has no such file.
        return []


def _link_bps(interface: str, sys: Path) -> int:
    """What the link was negotiated at. Virtual interfaces say -1, or refuse to be read."""
    if not interface:
        return CAPACITY_BPS
    try:
        megabits = int((sys / interface / "speed").read_text())
    except (OSError, ValueError):
        megabits = -1
    if megabits > 0:
        return megabits * 1_000_000
    advice = "set nic_capacity_bps to what this machine can send for hours"
    log.warning("link_speed_unknown", interface=interface, assumed_bps=CAPACITY_BPS, advice=advice)
    return CAPACITY_BPS
