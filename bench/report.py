"""Tables as Markdown, and what they were measured on."""

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading, the key of the value, and how many decimals are honest."""

    heading: str
    key: str
    decimals: int = 0


def table(columns: Sequence[Column], rows: Sequence[dict[str, object]]) -> str:
    """Rows as Markdown; what a row does not have is a dash. Texts stand left, numbers right."""
    cells = [[_cell(row.get(column.key), column.decimals) for column in columns] for row in rows]
    widths = [max(len(column.heading), *(len(row[i]) for row in cells)) for i, column in enumerate(columns)]
    texts = [all(not isinstance(row.get(column.key), int | float) for row in rows) for column in columns]
    lines = [[column.heading for column in columns], *cells]
    drawn = [
        "| " + " | ".join(c.ljust(w) if t else c.rjust(w) for c, w, t in zip(line, widths, texts, strict=True)) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (w + 1) + ("-" if t else ":") for w, t in zip(widths, texts, strict=True)) + "|"
    return "\n".join([drawn[0], rule, *drawn[1:]])


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def machine() -> str:
    """One line on the machine and how busy others kept it."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ": unknown")
    load = os.getloadavg()[0]
    return (
        f"{len(os.sched_getaffinity(0))} cores of {model.partition(':')[2].strip()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}; load average before the run {load:.1f}"
    )


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def write_json(path: Path | None, value: object) -> None:
    if path is not None:
        path.write_text(json.dumps(value, indent=1) + "\n")


def _cell(value: object, decimals: int) -> str:
    if value is None:
        return "-"
    return f"{value:,.{decimals}f}" if isinstance(value, int | float) else str(value)
