"""Draws byte misses by cache size as SVG, one panel a trace. Pure, without a drawing library."""

from collections.abc import Mapping
from html import escape

from bench.cache.contenders import OURS, Misses

PANEL_WIDTH, PANEL_HEIGHT, MARGIN, COLUMNS = 260, 200, 40, 5
SHOWN = {OURS: "#c2185b", "S3FIFO": "#1565c0", "LRU": "#9e9e9e", "Sieve": "#2e7d32", "Belady": "#000000"}


def draw(tables: Mapping[str, Mapping[str, Mapping[float, Misses]]]) -> str:
    """The picture as text. `tables` is by trace, policy and cache share."""
    rows = -(-len(tables) // COLUMNS)
    width, height = COLUMNS * (PANEL_WIDTH + MARGIN) + MARGIN, rows * (PANEL_HEIGHT + MARGIN) + 2 * MARGIN
    panels = [
        f'<g transform="translate({MARGIN + number % COLUMNS * (PANEL_WIDTH + MARGIN)},'
        f'{MARGIN + number // COLUMNS * (PANEL_HEIGHT + MARGIN)})">{_panel(name, table)}</g>'
        for number, (name, table) in enumerate(tables.items())
    ]
    legend = [
        f'<text x="{MARGIN + number * 90}" y="{height - 12}" fill="{colour}">{escape(name)}</text>'
        for number, (name, colour) in enumerate(SHOWN.items())
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">'
    return "\n".join((head, *panels, *legend, "</svg>\n"))


def _panel(name: str, table: Mapping[str, Mapping[float, Misses]]) -> str:
    shares = sorted(table[OURS])
    across = [number * PANEL_WIDTH / (len(shares) - 1) for number in range(len(shares))]
    frame = f'<text y="-6">{escape(name)}: byte misses</text><rect {_box()} fill="none" stroke="#ccc"/>'
    labels = [
        f'<text x="{x:.0f}" y="{PANEL_HEIGHT + 14}" text-anchor="middle">{share:.0%}</text>'
        for x, share in zip(across, shares, strict=True)
    ]
    return frame + "".join([*labels, *(_line(table[policy], across, colour) for policy, colour in SHOWN.items())])


def _line(row: Mapping[float, Misses], across: list[float], colour: str) -> str:
    points = " ".join(
        f"{x:.1f},{PANEL_HEIGHT * (1 - row[share].bytes):.1f}" for x, share in zip(across, sorted(row), strict=True)
    )
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _box() -> str:
    return f'width="{PANEL_WIDTH}" height="{PANEL_HEIGHT}"'
