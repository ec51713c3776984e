"""Draws how long a search takes by how much was typed, as PNG. Needs the extra `bench`."""

from collections.abc import Mapping
from pathlib import Path

from bench import report
from bench.catalog.finding import OURS, TYPED, Answers

WIDTH_INCHES, HEIGHT_INCHES, DPI = 7.0, 3.6, 80
OURS_COLOUR, OTHERS_COLOURS = "#c2185b", ("#1565c0", "#2e7d32", "#6d4c41")


class MissingExtraError(Exception):
    """matplotlib is not installed."""


def draw(folder: Path, found: Mapping[tuple[str, str], Answers]) -> Path:
    """Writes the picture of p50 and p99 by letters typed; its path."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("--plots needs matplotlib: .venv/bin/pip install -e '.[bench]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    picture = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI, layout="constrained")
    axes = picture.subplots()
    others = iter(OTHERS_COLOURS)
    for (kind, name), answers in sorted(found.items()):
        if kind != TYPED:
            continue
        colour = OURS_COLOUR if name == OURS else next(others)
        lengths = sorted(answers.by_length)
        waits = [answers.by_length[length] for length in lengths]
        axes.plot(lengths, [report.median(wait) for wait in waits], color=colour, label=f"{name}, p50")
        p99 = [report.quantile(wait, 0.99) for wait in waits]
        axes.plot(lengths, p99, color=colour, linestyle=":", label=f"{name}, p99")
    axes.set_yscale("log")
    axes.set_xlabel("letters typed", fontsize=8)
    axes.set_ylabel("ms until the answer", fontsize=8)
    axes.set_title("search as it is typed", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=7)
    path = folder / "catalog-search.png"
    picture.savefig(path)
    return path
