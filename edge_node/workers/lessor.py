"""The node process's side of one worker's leases: what the worker was told of the store, what it uses, what it waits for.

Whatever happens to a part, `_sync` compares what the store has with what the worker was last told, and tells the difference;
so no change has a message of its own that could be forgotten. A lease lasts while the worker has readers of the rendition or
something of it is in RAM.

Race to know: a worker may use what it was leased until it hears that it is gone. Its descriptor keeps the bytes as they were,
so it serves nothing wrong; the memory is freed when the last process has let go.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from edge_node.coalescing import Outcome
from edge_node.eviction import Key, Part
from edge_node.live import MANIFEST
from edge_node.location import Tier
from edge_node.node import Node
from edge_node.open_file import OpenFile
from edge_node.reader import Reader
from edge_node.store import Entry, Store
from edge_node.workers.messages import (
    Answer,
    Cancel,
    Errand,
    Failed,
    Find,
    Forgotten,
    Manifested,
    Message,
    PartState,
    Progress,
    Touched,
    Unuse,
    Use,
    Verify,
)
from reprise.chunks import chunk_count
from reprise.errors import DataCorrupt, NotFound, QuotaExceeded, RepriseError
from reprise.manifests import Manifest
from reprise.service import contained

# More requests of one part in one batch change nothing: the policy does not count further.
TOUCHES_MAX = 4


@dataclass(frozen=True, slots=True)
class State:
    """What a worker knows of one part in one tier. Files are compared by identity."""

    present: int = 0
    verified: int = 0
    file: OpenFile | None = None
    witness: tuple[int, ...] | None = None


_NOTHING = State()
_Place = tuple[Part, Tier]


class Lessor:
    """See the module. `send` sends to the worker."""

    def __init__(self, node: Node, store: Store, send: Callable[[Message, OpenFile | None], None]) -> None:
        self._node = node
        self._store = store
        self._send = send
        self._told: dict[str, dict[_Place, State]] = {}
        self._used: dict[str, Entry | None] = {}
        self._errands: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def leases(self) -> int:
        """Renditions that the worker knows."""
        return len(self._told)

    def take(self, message: Message) -> bool:
        """Obeys a message of the worker; False when it is none that concerns the store."""
        match message:
            case Find():
                self._begin(self._find(message))
            case Use():
                self._use(message.rendition_id)
            case Unuse():
                self._unuse(message.rendition_id)
            case Verify():
                self._begin(self._verify(message))
            case Errand():
                self._begin(self._go(message), message.errand)
            case Cancel():
                self._cancel(message.errand)
            case Touched():
                self._touch(message)
            case _:
                return False
        return True

    def changed(self, key: Key) -> None:
        """Something was let go of in the store."""
        if key.rendition_id in self._told:
            self._sync(key.rendition_id)
            if key.rendition_id not in self._used:
                self._forget_unless_in_ram(key.rendition_id)

    def purged(self, rendition_id: str) -> None:
        """The worker will hear that a rendition was taken down, and forgets it by itself."""
        self._told.pop(rendition_id, None)

    def close(self) -> None:
        """The worker is gone: everything that it used and waited for is given back."""
        for task in list(self._tasks):
            task.cancel()
        for entry in self._used.values():
            if entry is not None:
                entry.release()
        self._used.clear()
        self._told.clear()

    # Leases

    async def _find(self, find: Find) -> None:
        store = self._store
        entry = store.find(find.rendition_id)
        if entry is None and store.adopting:
            entry = await store.discover(find.rendition_id)
        if entry is not None:
            self._lease(entry.manifest)
            entry.release()
        self._send(Answer(find.ask, entry is not None), None)

    def _lease(self, manifest: Manifest) -> None:
        if manifest.rendition_id not in self._told:
            self._told[manifest.rendition_id] = {}
            self._send(Manifested(manifest.rendition_id, manifest.signed.SerializeToString()), None)
        self._sync(manifest.rendition_id)

    def _use(self, rendition_id: str) -> None:
        if rendition_id not in self._used:
            self._used[rendition_id] = self._store.find(rendition_id)

    def _unuse(self, rendition_id: str) -> None:
        entry = self._used.pop(rendition_id, None)
        if entry is not None:
            entry.release()
        self._forget_unless_in_ram(rendition_id)

    def _forget_unless_in_ram(self, rendition_id: str) -> None:
        told = self._told.get(rendition_id)
        if told is not None and not any(tier is Tier.RAM for _, tier in told):
            del self._told[rendition_id]
            self._send(Forgotten(rendition_id), None)

    def _sync(self, rendition_id: str) -> None:
        told = self._told[rendition_id]
        for part in Part:
            key = Key(rendition_id, part)
            for tier, state in ((Tier.RAM, self._in_ram(key)), (Tier.DISK, self._on_disk(key))):
                before = told.get((part, tier), _NOTHING)
                if state == before:
                    continue
                if state == _NOTHING:
                    del told[part, tier]
                else:
                    told[part, tier] = state
                self._tell(key, tier, state, state.file if state.file is not before.file else None)

    def _tell(self, key: Key, tier: Tier, state: State, new_file: OpenFile | None) -> None:
        witness = list(state.witness) if state.witness else None
        message = PartState(key.rendition_id, key.part.value, tier.value, state.present, state.verified, witness)
        self._send(message, new_file)

    def _in_ram(self, key: Key) -> State:
        part = self._store.ram.part(key)
        return State(part.present, part.present, part.file) if part else _NOTHING

    def _on_disk(self, key: Key) -> State:
        part = self._store.disk.index.part(key)
        if part is None:
            return _NOTHING
        return State(part.present, part.verified, part.file, tuple(part.witness) if part.witness else None)

    # Chunks

    async def _verify(self, verify: Verify) -> None:
        entry = self._store.find(verify.rendition_id)
        good = entry is not None and await entry.ensure_verified(verify.chunk)
        if entry is not None:
            entry.release()
        # Also when it is not good: the worker must not believe any longer that it is there.
        if verify.rendition_id in self._told:
            self._sync(verify.rendition_id)
        self._send(Answer(verify.ask, good), None)

    async def _go(self, errand: Errand) -> None:
        """Follows the node's own fill, or starts it. However this ends, the worker is told."""
        failed: Failed | None = Failed(errand.errand, Outcome.STOPPED.value, "this edge could not go on")
        reader: Reader | None = None
        try:
            reader = self._node.errand(errand.rendition_id, errand.first_chunk, errand.hops)
            await reader.ready(MANIFEST, errand.end)
            if reader.error is not None:
                raise reader.error
            await self._bring(errand, reader)
            failed = None
        except RepriseError as error:
            failed = Failed(errand.errand, _outcome(error).value, error.message)
        finally:
            if reader is not None:
                reader.close()
            self._errands.pop(errand.errand, None)
            if failed is not None:
                self._send(failed, None)

    async def _bring(self, errand: Errand, reader: Reader) -> None:
        assert reader.manifest is not None
        count = chunk_count(reader.manifest.size_bytes)
        end = min(count, errand.end or count)
        # Before the first chunk: whoever waits for the manifest alone need not wait longer.
        told = self._progress(errand, errand.first_chunk, reader)
        for chunk in range(errand.first_chunk, end):
            if not reader.has(chunk):
                if told < chunk:
                    told = self._progress(errand, chunk, reader)
                await reader.ready(chunk, end)
        self._progress(errand, end, reader)

    def _progress(self, errand: Errand, position: int, reader: Reader) -> int:
        assert reader.manifest is not None
        # Anew if all of it was evicted meanwhile and the lease was over.
        self._lease(reader.manifest)
        self._send(Progress(errand.errand, position, reader.result), None)
        return position

    def _cancel(self, number: int) -> None:
        task = self._errands.pop(number, None)
        if task is not None:
            task.cancel()

    def _touch(self, touched: Touched) -> None:
        store = self._store
        for (rendition_id, part), count in touched.express.items():
            for _ in range(min(count, TOUCHES_MAX)):
                store.ram.policy.touch(Key(rendition_id, Part(part)))
        for (rendition_id, part), count in touched.readers.items():
            for _ in range(min(count, TOUCHES_MAX)):
                store.touch(Key(rendition_id, Part(part)))

    def _begin(self, work: Coroutine[Any, Any, None], errand: int | None = None) -> None:
        task = asyncio.get_running_loop().create_task(contained(work, "worker.ask"))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if errand is not None:
            self._errands[errand] = task


_OUTCOMES = {NotFound: Outcome.ABSENT, QuotaExceeded: Outcome.REFUSED, DataCorrupt: Outcome.CORRUPT}


def _outcome(error: RepriseError) -> Outcome:
    """What `live` made this error of, for the worker's `live` to make the same of it."""
    return next((outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind)), Outcome.UNREACHABLE)
