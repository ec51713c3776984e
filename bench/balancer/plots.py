"""Draws a scenario as PNG: one bar for each rule, with its interval over seeds. Needs the extra `bench`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.balancer.intervals import interval

OURS_COLOUR, OTHERS_COLOUR = "#c2185b", "#90a4ae"
WIDTH_INCHES, ROW_INCHES, DPI = 7.0, 0.28, 80


class MissingExtraError(Exception):
    """matplotlib is not installed."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture of one figure."""

    figure: str
    file: str
    title: str
    logarithmic: bool = False


PLOTS = (
    Plot("peak", "utilisation", "max/mean NIC utilisation (median over time; 1 is even)"),
    Plot("hit_percent", "hits", "plays that the edge had already, %"),
    Plot("start_p99_ms", "start", "start latency p99, ms", logarithmic=True),
)


def draw(folder: Path, scenario: str, rows: Mapping[str, Mapping[str, Sequence[float]]], ours: str) -> list[Path]:
    """Writes the pictures of one scenario; `rows` is rule -> figure -> values by seed. Returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_draw(folder / f"balancer-{scenario}-{plot.file}.png", scenario, plot, rows, ours) for plot in PLOTS]


def _draw(path: Path, scenario: str, plot: Plot, rows: Mapping[str, Mapping[str, Sequence[float]]], ours: str) -> Path:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("--plots needs matplotlib: .venv/bin/pip install -e '.[bench]'") from None
    found = {rule: interval(figures[plot.figure]) for rule, figures in rows.items()}
    rules = sorted(found, key=lambda rule: found[rule].mean, reverse=True)
    picture = Figure(figsize=(WIDTH_INCHES, 1.0 + ROW_INCHES * len(rules)), dpi=DPI, layout="constrained")
    axes = picture.subplots()
    means = [found[rule].mean for rule in rules]
    whiskers = [[m - found[r].low for m, r in zip(means, rules, strict=True)]]
    whiskers.append([found[r].high - m for m, r in zip(means, rules, strict=True)])
    colours = [OURS_COLOUR if rule == ours else OTHERS_COLOUR for rule in rules]
    axes.barh(rules, means, xerr=whiskers, color=colours, ecolor="#37474f", height=0.7)
    if plot.logarithmic:
        axes.set_xscale("log")
    axes.set_title(f"{scenario}: {plot.title}", fontsize=9)
    axes.tick_params(labelsize=8)
    picture.savefig(path)
    return path
