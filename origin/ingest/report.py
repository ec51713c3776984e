"""What an import tells: lines for people, or JSON lines for programs. Each is flushed, so that progress is seen at once."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Protocol, TextIO


class Outcome(StrEnum):
    """What became of a file."""

    IMPORTED = "imported"
    # The catalog has a song made of the same bytes.
    KNOWN = "known"
    # The same bytes came earlier in this import.
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file's outcome; `reason` is for people and empty when all is well."""

    path: str
    outcome: Outcome
    reason: str = ""
    song_id: str = ""
    title: str = ""
    artists: tuple[str, ...] = ()
    # What the song lacks, and why: a damaged cover, a rendition that would be too large.
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Summary:
    """All outcomes, and the error that ended the import early, if one did."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    error: str = ""

    @property
    def exit_code(self) -> int:
        """0 unless S3 or the catalog failed, or there were files and each of them failed."""
        useful = self.outcomes.total() - self.outcomes[Outcome.FAILED]
        return 1 if self.error or (self.outcomes.total() and not useful) else 0


class Report(Protocol):
    """Where outcomes go as they happen."""

    def start(self, total: int) -> None: ...
    def file(self, report: FileReport) -> None: ...
    def end(self, summary: Summary) -> None: ...


class JsonReport:
    """One object a line: a start event, every file, a summary event."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def start(self, total: int) -> None:
        self._line({"event": "start", "total": total})

    def file(self, report: FileReport) -> None:
        self._line({"event": "file", **asdict(report)})

    def end(self, summary: Summary) -> None:
        counts = {outcome.value: summary.outcomes[outcome] for outcome in Outcome}
        self._line({"event": "summary", **counts, "error": summary.error})

    def _line(self, value: dict[str, object]) -> None:
        self._out.write(json.dumps(value, ensure_ascii=False) + "\n")
        self._out.flush()


class Reports:
    """Tells several."""

    def __init__(self, *reports: Report) -> None:
        self._reports = reports

    def start(self, total: int) -> None:
        for report in self._reports:
            report.start(total)

    def file(self, report: FileReport) -> None:
        for each in self._reports:
            each.file(report)

    def end(self, summary: Summary) -> None:
        for report in self._reports:
            report.end(summary)


class TextReport:
    """Lines for people, numbered as they come."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._total = 0
        self._done = 0

    def start(self, total: int) -> None:
        self._total, self._done = total, 0
        self._line(f"{total} audio files found")

    def file(self, report: FileReport) -> None:
        self._done += 1
        song = f"{', '.join(report.artists)} - {report.title}" if report.title else report.path
        detail = f"{report.path}: {report.reason}" if report.reason else song
        detail += "".join(f" ({note})" for note in report.notes)
        self._line(f"{self._done:>{len(str(self._total))}}/{self._total} {report.outcome:<8} {detail}")

    def end(self, summary: Summary) -> None:
        counts = ", ".join(f"{summary.outcomes[outcome]} {outcome}" for outcome in Outcome)
        self._line(f"{counts}{f'; stopped: {summary.error}' if summary.error else ''}")

    def _line(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()
