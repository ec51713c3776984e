"""The disk tier: reads and verifies, writes, removes and adopts, all in threads, so that the event loop never waits for a disk.

A bad, unreadable or late chunk takes its whole part along: what is next to a rotten sector is not worth keeping, and a fresh
file gets other sectors. Victims are removed by the same thread that writes what they made room for, and before it, so the
budget holds at every moment.

Invariants: a chunk is on disk for the index only after it was written whole; nothing is written while the directory is being
adopted, because a name may belong to a file that was not looked at yet.
"""

import asyncio
import enum
import errno
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from edge_node.cache_dir import SHARDS, CacheDir, Checked, Found, Witness, Write
from edge_node.disk_admission import DiskAdmission, Ruling
from edge_node.disk_index import DiskIndex, DiskPart, DiskRendition, charge_bytes
from edge_node.disk_writer import DiskWriter
from edge_node.eviction import Key, Part, Refused
from edge_node.homes import Homes
from edge_node.ram import RamPart
from edge_node.store_metrics import StoreMetrics
from reprise.chunks import chunk_range
from reprise.errors import Unavailable
from reprise.log import get_logger
from reprise.manifests import Manifest

log = get_logger()
READERS = 4
READ_S_MAX = 5.0
# One write job: short enough that a removal behind it does not wait long.
WRITE_CHUNKS_MAX = 64
# Jobs under way while a part is written only because there is room.
UNEARNED_JOBS_MAX = 4
# Of what the tier holds, given back when the disk is full before the budget is.
GIVE_UP_SHARE = 1 / 16


class Verdict(enum.Enum):
    """What a chunk on disk turned out to be. GONE: it is not there, or left while it was read."""

    GOOD = "good"
    BAD = "bad"
    GONE = "gone"


class DiskTier:
    """`on_written(key)` is called after a write of `key` went well: by then there may be more of it to write."""

    def __init__(
        self,
        directory: CacheDir,
        index: DiskIndex,
        homes: Homes,
        seen_keys_max: int,
        writer: DiskWriter,
        metrics: StoreMetrics,
        on_written: Callable[[Key], None],
    ) -> None:
        self.index = index
        self.policy = index.policy
        self.homes = homes
        self.admission = DiskAdmission(seen_keys_max, homes, index.policy)
        self.adopting = True
        self._directory = directory
        self._writer = writer
        self._metrics = metrics
        self._on_written = on_written
        self._readers = ThreadPoolExecutor(READERS, "edge-disk-reader")
        # How often something left the directory.
        self._removals = 0

    async def close(self) -> None:
        """Ends reads and writes within a bound; the files stay."""
        await self._writer.close()
        self._readers.shutdown(wait=False, cancel_futures=True)
        self.index.close()
        self._directory.close()

    async def ensure_verified(self, key: Key, chunk: int, manifest: Manifest) -> bool:
        """Whether `chunk` is on disk and right. After True it has an extent; after False the index has it no more."""
        return await self._verify(key, chunk, manifest, trusting=True) is Verdict.GOOD

    async def scrub(self, key: Key, chunk: int, manifest: Manifest) -> Verdict:
        """Reads `chunk` again. Opens no file for listeners, because none waits."""
        return await self._verify(key, chunk, manifest, trusting=False)

    def touch(self, key: Key, ram: RamPart | None) -> None:
        """Counts a request for `key`, which may earn it its place; `ram` is what memory has of it."""
        self.admission.touch(key)
        if self.index.part(key) is None:
            self._metrics.disk_admissions[self.admission.rule(key).value] += 1
        if ram is not None:
            self.spill(key, ram)
        # A guest earns no hits: what was at home here before the mesh changed goes when its room is wanted.
        if self.homes.here(key.rendition_id):
            self.policy.touch(key)

    def keep(self, key: Key) -> None:
        """`key` was prewarmed: it may be written at once, and what is on disk of it stays as if it were asked for often."""
        self.admission.keep(key)
        self.policy.admit(key)

    def spill(self, key: Key, ram: RamPart) -> None:
        """Starts to write what of `ram` is not on disk yet, if `key` deserves it and the disk takes writes."""
        part = self.index.part(key)
        if part is None and not self._takes(key):
            return
        if self.adopting or not self._writer.allows or (part is not None and part.writing):
            return
        chunks = _first_bits(ram.present & ~(part.present if part else 0), WRITE_CHUNKS_MAX)
        if not chunks:
            return
        known = self.index.rendition(key.rendition_id)
        rendition = known or DiskRendition(ram.manifest)
        outcome = self.policy.grow(key, charge_bytes(chunks, rendition, new_part=part is None))
        if isinstance(outcome, Refused):
            return
        # A victim may have been the other part, and its rendition with it.
        self._evicted(outcome.victims)
        self._write(key, rendition, chunks, ram)

    async def purge(self, rendition_id: str) -> None:
        """Out of the index at once; returns when no byte is left on disk. Unavailable when the disk refuses that."""
        self._removals += 1
        for key in (Key(rendition_id, part) for part in Part):
            self.index.remove(key)
            self.policy.remove(key)
            self.admission.forget(key)
        try:
            await self._writer.submit(partial(self._directory.remove, rendition_id))
        except OSError as error:
            self._metrics.disk_errors["drop"] += 1
            raise Unavailable(
                f"{rendition_id} is no longer served but not yet off the disk: {error.strerror}"
            ) from None

    async def adopt(self) -> None:
        """Takes in what an earlier run left; what is served meanwhile is not held up."""
        try:
            for shard in SHARDS:
                await self._adopt_shard(shard)
        finally:
            self.adopting = False
        log.info("cache_adopted", renditions=len(self.index), size_bytes=self.policy.size_bytes)

    async def discover(self, rendition_id: str) -> None:
        """Takes one rendition in ahead of the scan, if it is there: a listener waits for it."""
        if not self.adopting or self.index.rendition(rendition_id) is not None:
            return
        try:
            async with asyncio.timeout(READ_S_MAX):
                await self._adopt_one(rendition_id)
        except TimeoutError:
            self._metrics.disk_errors["read_timeout"] += 1
        except OSError as error:
            self._metrics.disk_errors["read"] += 1
            log.warning("cache_rendition_unreadable", rendition_id=rendition_id, reason=error.strerror)

    def _takes(self, key: Key) -> bool:
        """Whether `key` may have a place now. A job holds memory, so what has not earned its place waits in no queue."""
        ruling = self.admission.rule(key)
        return ruling.admits and (ruling is not Ruling.ROOM or self._writer.jobs < UNEARNED_JOBS_MAX)

    async def _verify(self, key: Key, chunk: int, manifest: Manifest, *, trusting: bool) -> Verdict:
        part = self.index.part(key)
        if part is None or not part.present >> chunk & 1:
            return Verdict.GONE
        span = chunk_range(chunk, manifest.size_bytes)
        check = partial(self._directory.check, key, span, manifest.digests[chunk])
        future = asyncio.get_running_loop().run_in_executor(self._readers, check)
        await asyncio.wait({future}, timeout=READ_S_MAX)
        future.cancel()
        if self.index.part(key) is not part:
            return Verdict.GONE
        trust = partial(self.index.trust, key, part, chunk) if trusting else None
        problem = self._judge(future, trust)
        if not problem:
            return Verdict.GOOD
        log.warning("disk_chunk_dropped", rendition_id=key.rendition_id, chunk=chunk, reason=problem)
        self._discard(key)
        # It was worth its place: what replaces it goes to disk at once.
        self.admission.keep(key)
        return Verdict.BAD

    def _judge(self, future: asyncio.Future[Checked], trust: Callable[[Witness], None] | None) -> str:
        """Takes the result of a check in; returns what is wrong, or "" when nothing is."""
        if future.cancelled():
            self._metrics.disk_errors["read_timeout"] += 1
            return f"not read within {READ_S_MAX} s"
        try:
            checked = future.result()
            if not checked.matches:
                self._metrics.corrupt_chunks += 1
                return "does not match its digest"
            if trust is not None:
                trust(checked.witness)
        except OSError as error:
            self._metrics.disk_errors["read"] += 1
            return error.strerror or "cannot be read"
        return ""

    def _write(self, key: Key, rendition: DiskRendition, chunks: list[int], ram: RamPart) -> None:
        new_rendition = self.index.rendition(key.rendition_id) is None
        known = self.index.part(key)
        part = known or self.index.add(key, rendition)
        part.writing = True
        self.policy.pin(key)
        job = Write(key, rendition.signed, rendition.size_bytes, chunks, ram.file, new_rendition, known is None)
        future = self._writer.submit(partial(self._directory.write, job))
        future.add_done_callback(partial(self._written, job, part))

    def _written(self, job: Write, part: DiskPart, future: asyncio.Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, OSError):
            self._failed(error)
        # Purged meanwhile: its files are removed behind this write, and its pins are gone.
        if self.index.part(job.key) is not part:
            return
        part.writing = False
        self.policy.unpin(job.key)
        if future.cancelled() or error is not None:
            self._discard(job.key)
            if isinstance(error, FileNotFoundError):
                # What is left of it would fail the same way.
                self._discard(_other(job.key))
            if error is not None and not isinstance(error, OSError):
                raise error
            return
        self._writer.succeeded()
        if self.admission.is_kept(job.key):
            self.policy.admit(job.key)
        part.present |= sum(1 << chunk for chunk in job.chunks)
        self._metrics.spilled_chunks += len(job.chunks)
        self._on_written(job.key)

    def _failed(self, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            # Somebody took our files away: no reason to spare the disk.
            self._metrics.disk_errors["write"] += 1
            return
        self._writer.failed(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self._evicted(self.policy.give_up(int(self.policy.size_bytes * GIVE_UP_SHARE)))

    def _evicted(self, victims: Iterable[Key]) -> None:
        for key in victims:
            self._metrics.evictions["disk", key.part.value] += 1
            self._remove(key)

    def _discard(self, key: Key) -> None:
        self.policy.remove(key)
        self._remove(key)

    def _remove(self, key: Key) -> None:
        rendition = self.index.remove(key)
        if rendition is None:
            return
        self._removals += 1
        if rendition.parts:
            self._writer.remove(partial(self._directory.drop, key))
        else:
            self._writer.remove(partial(self._directory.remove, key.rendition_id))

    async def _adopt_shard(self, shard: str) -> None:
        try:
            for rendition_id in await self._writer.submit(partial(self._directory.renditions, shard)):
                if not await self._adopt_one(rendition_id):
                    self._metrics.adopted["dropped"] += 1
        except OSError as error:
            self._metrics.disk_errors["read"] += 1
            log.warning("cache_shard_unreadable", shard=shard, reason=error.strerror)

    async def _adopt_one(self, rendition_id: str) -> bool:
        """Takes a rendition in, unless the scan or a listener was first; False when nothing of it is usable."""
        while self.index.rendition(rendition_id) is None:
            removals = self._removals
            found = await self._writer.submit(partial(self._directory.adopt, rendition_id))
            # A removal between the look and this line took files behind our back: look again.
            if removals != self._removals or self.index.rendition(rendition_id) is not None:
                continue
            if found is None:
                return False
            self._metrics.adopted["adopted"] += 1
            self._take_in(rendition_id, found)
            return True
        return True

    def _take_in(self, rendition_id: str, found: Found) -> None:
        for kind, present in found.present.items():
            key = Key(rendition_id, kind)
            rendition = self.index.rendition(rendition_id) or DiskRendition(found.manifest)
            part = self.index.add(key, rendition)
            part.present = present
            outcome = self.policy.grow(key, charge_bytes(_first_bits(present), rendition, new_part=True))
            if isinstance(outcome, Refused):
                self._discard(key)
            else:
                self._evicted(outcome.victims)


def _other(key: Key) -> Key:
    return Key(key.rendition_id, Part.TAIL if key.part is Part.PREFIX else Part.PREFIX)


def _first_bits(bits: int, count_max: int | None = None) -> list[int]:
    """The indexes of the lowest set bits."""
    found: list[int] = []
    while bits and (count_max is None or len(found) < count_max):
        lowest = bits & -bits
        found.append(lowest.bit_length() - 1)
        bits ^= lowest
    return found
