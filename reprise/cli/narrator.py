"""What the commands tell people: steps with their time, troubles, tables, a progress bar. Plain lines when nobody watches."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from reprise.cli.folder import Folder, locate
from reprise.cli.mesh_file import Mesh

# Between lines of progress where a bar cannot be drawn.
LINE_EVERY_S = 2.0
FILE_COLUMNS = 160
# A rate is that of the last minutes.
RATE_OVER_S = 180.0


class Narrator:
    """Speaks to a terminal or a file."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        if not self._console.is_terminal and "COLUMNS" not in os.environ:
            # Nothing says how wide a file is: wide enough for a table's rows to stay whole.
            self._console.width = FILE_COLUMNS
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One line, with the seconds since the command began."""
        elapsed = time.monotonic() - self._started
        self._console.print(f"[dim]{elapsed:6.1f} s[/dim]  ", end="")
        self._console.print(text, markup=False)

    def plain(self, text: str) -> None:
        """Text as it is."""
        self._console.print(text, markup=False)

    def table(self, table: Table) -> None:
        self._console.print(table)

    @contextmanager
    def live(self) -> "Iterator[Callable[[RenderableType], None]]":
        """Draws one picture over the other; a file gets one after the other."""
        if not self._console.is_terminal:
            yield self._console.print
            return
        with Live(console=self._console, auto_refresh=False) as drawn:
            yield lambda picture: drawn.update(picture, refresh=True)

    @contextmanager
    def progress(self, what: str) -> "Iterator[Bar]":
        """A bar for countable work."""
        if not self._console.is_terminal:
            yield Bar(self, None, what)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True, speed_estimate_period=RATE_OVER_S) as drawn:
            yield Bar(self, drawn, what)


class _Rate(ProgressColumn):
    """How many a minute; pieces take seconds, so a rate a second would flicker between fractions."""

    def render(self, task: Task) -> Text:
        return Text(f"{60 * task.speed:.1f}/min" if task.speed else "")


class Bar:
    """Progress of one piece of work."""

    def __init__(self, narrator: Narrator, drawn: Progress | None, what: str) -> None:
        self._narrator = narrator
        self._drawn = drawn
        self._what = what
        self._task = drawn.add_task(what, total=None) if drawn else None
        self._done = self._total = 0
        self._said = time.monotonic()

    def total(self, count: int) -> None:
        """How much there is."""
        self._total = count
        if self._drawn is not None and self._task is not None:
            self._drawn.update(self._task, total=count)
        else:
            self._narrator.say(f"{self._what}: {count} files")

    def at(self, done: int, total: int) -> None:
        """So many are done, of so many as far as is known."""
        self._done, self._total = done, total
        if self._drawn is not None and self._task is not None:
            self._drawn.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._said >= LINE_EVERY_S:
            self._said = time.monotonic()
            self._narrator.say(f"{self._what}: {done} of about {total}")

    def advance(self) -> None:
        """One more is done."""
        self._done += 1
        if self._drawn is not None and self._task is not None:
            self._drawn.advance(self._task)
        elif time.monotonic() - self._said >= LINE_EVERY_S:
            self._said = time.monotonic()
            self._narrator.say(f"{self._what}: {self._done} of {self._total}")


def addresses(mesh: Mesh) -> Table:
    """Where everything listens."""
    table = Table("service", "region", "gRPC", "HTTP and gRPC-web", "pid", title="Reprise mesh", title_justify="left")
    for place in (*mesh.services, *mesh.edges):
        table.add_row(place.name, place.region, place.grpc, place.http, str(place.pid))
    return table


def next_steps(mesh: Mesh, folder: Folder, command: str, song: str) -> str:
    """What to type next."""
    data = "" if folder == locate(None) else f" --data {folder.path}"
    return "\n".join(
        (
            "Try:",
            f"  {command} search{data} {song}",
            f"  {command} play{data} {song} -o song.mp4",
            f"  {command} status{data}",
            f"  {command} down{data}",
            f"Or in a browser: {mesh.balancers[0].http}/",
        )
    )
