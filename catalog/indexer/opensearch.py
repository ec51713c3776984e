"""Writes the search index to an OpenSearch cluster: an index per generation, and an alias for the one that is in use.

A document of the state index says, for each generation, how far it has come and whose turn it is. It is replaced by comparing
its version only, so an indexer that was superseded fails at its next commit; and until then its documents lose against those of
whoever came later, because each is written with the writer's epoch as its version.
"""

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from catalog.indexer.generation import Generation
from catalog.indexer.target import Size
from catalog.model import EntityKind
from catalog.searching.documents import Entry
from catalog.searching.opensearch_client import failures
from catalog.searching.opensearch_schema import INDEX_BODY, document
from reprise.errors import NotFound, Unavailable
from reprise.log import get_logger

log = get_logger()

BULK_DOCUMENTS_MAX = 1000
BULK_BYTES_MAX = 4 << 20
_GONE_ALREADY, _NEWER_THERE = 404, 409


@dataclass(frozen=True, slots=True)
class State:
    """How far a generation has come, by whom, and the version of the document that says so."""

    checkpoint: str
    epoch: int
    version: tuple[int, int]


class States:
    """The state index of one alias. Calls block."""

    def __init__(self, client: Any, alias: str) -> None:
        self._client = client
        self.index = f"{alias}-state"

    def read(self, name: str) -> State:
        """Raises NotFound."""
        with failures("reading the state of the search index"):
            found = self._client.get(index=self.index, id=name)
        source = found["_source"]
        return State(source["checkpoint"], source["epoch"], (found["_seq_no"], found["_primary_term"]))

    def create(self, name: str, epoch: int) -> State:
        return self._write(name, State("", epoch, (0, 0)), {"op_type": "create"})

    def write(self, name: str, state: State) -> State:
        """Replaces the version that `state` came with. Raises Conflict when somebody else replaced it."""
        number, term = state.version
        return self._write(name, state, {"if_seq_no": number, "if_primary_term": term})

    def _write(self, name: str, state: State, condition: dict[str, object]) -> State:
        body = {"checkpoint": state.checkpoint, "epoch": state.epoch}
        with failures("writing the state of the search index"):
            answer = self._client.index(index=self.index, id=name, body=body, params=condition)
        return replace(state, version=(answer["_seq_no"], answer["_primary_term"]))


class OpenSearchWriter:
    """An IndexWriter of one index."""

    def __init__(self, client: Any, name: str, states: States, state: State) -> None:
        self._client = client
        self._name = name
        self._states = states
        self.state = state
        self._lines: list[str] = []
        self._bytes = 0

    @property
    def checkpoint(self) -> str:
        return self.state.checkpoint

    def apply(self, entries: Sequence[Entry], gone: Sequence[tuple[EntityKind, UUID]]) -> None:
        """Sends what is full; the rest waits for more, or for the commit."""
        for entry in entries:
            self._add("index", entry.id, document(entry))
        for _, entity_id in gone:
            self._add("delete", entity_id, None)

    def commit(self, checkpoint: str) -> None:
        self._send()
        with failures("refreshing the search index"):
            self._client.indices.refresh(index=self._name)
        self.state = self._states.write(self._name, replace(self.state, checkpoint=checkpoint))

    def close(self) -> None:
        self._lines.clear()

    def _add(self, action: str, entity_id: UUID, body: dict[str, Any] | None) -> None:
        place = {"_id": str(entity_id), "version": self.state.epoch, "version_type": "external_gte"}
        lines = [json.dumps({action: place}), *([json.dumps(body)] if body is not None else ())]
        self._lines += lines
        self._bytes += sum(map(len, lines))
        if len(self._lines) >= 2 * BULK_DOCUMENTS_MAX or self._bytes >= BULK_BYTES_MAX:
            self._send()

    def _send(self) -> None:
        if not self._lines:
            return
        with failures("writing the search index"):
            answer = self._client.bulk(index=self._name, body="\n".join(self._lines) + "\n")
        self._lines, self._bytes = [], 0
        for item in answer["items"] if answer["errors"] else ():
            ((action, result),) = item.items()
            benign = result["status"] == _NEWER_THERE or (action == "delete" and result["status"] == _GONE_ALREADY)
            if result["status"] >= 300 and not benign:
                reason = result.get("error", {}).get("reason", result["status"])
                raise Unavailable(f"the OpenSearch cluster did not take a document: {reason}", retry_after_s=1)


class OpenSearchTarget:
    """The index in a cluster. `client` is a blocking OpenSearch."""

    backend = "opensearch"

    def __init__(self, client: Any, alias: str) -> None:
        self._client = client
        self._alias = alias
        self._states = States(client, alias)
        self._live: Generation | None = None
        self._writers: dict[str, OpenSearchWriter] = {}
        self._epoch = 1
        self.size = Size()

    async def take_over(self) -> Generation | None:
        """Counts the epoch up, which shuts out whoever wrote before."""
        return await asyncio.to_thread(self._take_over)

    async def begin(self) -> Generation:
        """A new index that no alias names."""
        return await asyncio.to_thread(self._begin)

    async def publish(self, generation: Generation) -> None:
        """A commit is visible at once; a new generation gets the alias, and the one before is deleted."""
        await asyncio.to_thread(self._publish, generation)

    async def tidy(self) -> None:
        """Deletes indexes that were begun and never finished."""
        await asyncio.to_thread(self._tidy)

    def _take_over(self) -> Generation | None:
        self._live, self._writers = None, {}
        try:
            with failures("looking for the search index"):
                (name,) = self._client.indices.get_alias(name=self._alias)
            state = self._states.read(name)
        except NotFound:
            return None
        state = self._states.write(name, replace(state, epoch=state.epoch + 1))
        self._epoch = state.epoch
        log.info("index_taken_over", generation=name, epoch=state.epoch)
        self._live = self._open(name, state)
        self._measure()
        return self._live

    def _begin(self) -> Generation:
        name = f"{self._alias}-{secrets.token_hex(8)}"
        with failures("making a search index"):
            self._client.indices.create(index=name, body=INDEX_BODY)
        return self._open(name, self._states.create(name, self._epoch))

    def _publish(self, generation: Generation) -> None:
        if generation is not self._live:
            actions: list[dict[str, object]] = [{"add": {"index": generation.name, "alias": self._alias}}]
            before = self._live
            if before is not None:
                # Fails when another one took over: then the alias is not ours to move.
                writer = self._writers[before.name]
                writer.state = self._states.write(before.name, writer.state)
                actions.append({"remove_index": {"index": before.name}})
            with failures("putting the search index in its place"):
                self._client.indices.update_aliases(body={"actions": actions})
            self._live = generation
        self._measure()

    def _tidy(self) -> None:
        with failures("looking for unused indexes"):
            names = set(self._client.indices.get(index=f"{self._alias}-*"))
            unused = names - self._writers.keys() - {self._states.index}
            for name in sorted(unused):
                self._client.indices.delete(index=name)
                log.info("index_deleted", generation=name)

    def _open(self, name: str, state: State) -> Generation:
        writer = OpenSearchWriter(self._client, name, self._states, state)
        self._writers[name] = writer
        return Generation(name, writer)

    def _measure(self) -> None:
        with failures("measuring the search index"):
            total = self._client.indices.stats(index=self._alias, metric="docs,store")["_all"]["primaries"]
        self.size = Size(total["docs"]["count"], total["store"]["size_in_bytes"])
