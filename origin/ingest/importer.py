"""The flow of an import: hash, ask the catalog, prepare in workers, publish, report. One bad file never stops the rest.

Files flow in small batches through a bounded queue, so the first songs are playable while later files are not even read. Only
what would fail for every file ends an import early: S3 or the catalog.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from origin.ingest.job import Prepared, Rejected
from origin.ingest.publish import Publisher
from origin.ingest.report import FileReport, Outcome, Report, Summary
from origin.ingest.worker_process import WorkerProcess
from reprise.errors import InvalidRequest, NotReady, RepriseError

BATCH_FILES = 32


@dataclass(frozen=True, slots=True)
class Source:
    """A file to import, by content."""

    path: Path
    sha256: str


class Importer:
    """One import. `new_worker` makes a worker process; `workers` of them run at once."""

    def __init__(
        self, publisher: Publisher, report: Report, workers: int, new_worker: Callable[[], WorkerProcess]
    ) -> None:
        self._publisher = publisher
        self._report = report
        self._workers = workers
        self._new_worker = new_worker
        self._summary = Summary()
        self._queue: asyncio.Queue[Source | None] = asyncio.Queue(maxsize=2 * workers)

    async def run(self, files: Sequence[Path]) -> Summary:
        """Imports `files`; every outcome is reported as it is known."""
        self._report.start(len(files))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._feed(files), name="ingest-feed")
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"ingest-worker-{number}")
        except* RepriseError as failures:
            first = failures.exceptions[0]
            self._summary.error = str(first)
        self._report.end(self._summary)
        return self._summary

    async def _feed(self, files: Sequence[Path]) -> None:
        """Queues what is new; reports what is known, repeated or unreadable."""
        seen: dict[str, Path] = {}
        for start in range(0, len(files), BATCH_FILES):
            fresh = []
            for path in files[start : start + BATCH_FILES]:
                source = await self._hashed(path)
                if source is not None and (earlier := seen.setdefault(source.sha256, path)) != path:
                    self._tell(FileReport(str(path), Outcome.SKIPPED, f"the same content as {earlier}"))
                elif source is not None:
                    fresh.append(source)
            known = await self._publisher.find_known([source.sha256 for source in fresh]) if fresh else {}
            for source in fresh:
                if song_id := known.get(source.sha256):
                    self._tell(FileReport(str(source.path), Outcome.KNOWN, song_id=song_id))
                else:
                    await self._queue.put(source)
        for _ in range(self._workers):
            await self._queue.put(None)

    async def _work(self) -> None:
        """Prepares and publishes queued files until the queue says that there are no more."""
        worker = self._new_worker()
        try:
            while (source := await self._queue.get()) is not None:
                with tempfile.TemporaryDirectory(prefix="reprise-ingest-") as folder:
                    self._tell(await self._import(worker, source, Path(folder)))
        finally:
            await worker.close()

    async def _import(self, worker: WorkerProcess, source: Source, folder: Path) -> FileReport:
        prepared = await worker.prepare(source.path, folder)
        if isinstance(prepared, Rejected):
            return FileReport(str(source.path), Outcome.FAILED, prepared.reason)
        try:
            published = await self._publisher.publish(source.sha256, prepared)
        except (InvalidRequest, NotReady) as refusal:
            return FileReport(str(source.path), Outcome.FAILED, f"the catalog refused it: {refusal.message}")
        outcome = Outcome.IMPORTED if published.created else Outcome.KNOWN
        return _report_of(source, prepared, outcome, published.song_id)

    async def _hashed(self, path: Path) -> Source | None:
        try:
            return Source(path, await asyncio.to_thread(_sha256, path))
        except OSError as error:
            self._tell(FileReport(str(path), Outcome.FAILED, f"cannot read it: {error.strerror}"))
            return None

    def _tell(self, report: FileReport) -> None:
        self._summary.outcomes[report.outcome] += 1
        self._report.file(report)


def _report_of(source: Source, prepared: Prepared, outcome: Outcome, song_id: str) -> FileReport:
    artists = tuple(credit.name for credit in prepared.tags.artists)
    return FileReport(str(source.path), outcome, "", song_id, prepared.tags.title, artists, prepared.notes)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
