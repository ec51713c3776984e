"""An OpenSearch cluster as far as the catalog uses one: the documented HTTP contract, and nothing beyond it.

Strict where the real one is: an unknown path, query, parameter or field is an error, documents are seen after a refresh only,
versions and sequence numbers are compared. It is written after the documentation; it shares no code with the real one.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from catalog import spelling


class Refused(Exception):
    """An error answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass
class Document:
    body: dict[str, Any]
    version: int
    seq_no: int
    gone: bool = False


@dataclass
class Index:
    properties: dict[str, Any] | None
    written: dict[str, Document] = field(default_factory=dict)
    searchable: dict[str, dict[str, Any]] = field(default_factory=dict)
    seq_no: int = -1

    def refresh(self) -> None:
        self.searchable = {key: document.body for key, document in self.written.items() if not document.gone}

    def put(self, key: str, body: dict[str, Any], version: int | None, *, gone: bool = False) -> Document:
        there = self.written.get(key)
        if version is not None and there is not None and there.version > version:
            raise Refused(409, "version_conflict_engine_exception")
        unknown = set(body) - set(self.properties if self.properties is not None else body)
        if unknown:
            raise Refused(400, f"strict_dynamic_mapping_exception: {sorted(unknown)}")
        self.seq_no += 1
        next_version = version if version is not None else there.version + 1 if there else 1
        self.written[key] = Document(body, next_version, self.seq_no, gone)
        return self.written[key]


class Cluster:
    """The state of the cluster."""

    def __init__(self) -> None:
        self.indexes: dict[str, Index] = {}
        self.aliases: dict[str, str] = {}
        self.lock = threading.Lock()
        # Set by tests: every request is answered with this status.
        self.down = 0

    def answer(self, method: str, path: str, query: dict[str, str], body: str) -> Any:
        if self.down:
            raise Refused(self.down, "down")
        for pattern, handle in _ROUTES:
            match = re.fullmatch(pattern, f"{method} {path}")
            if match:
                return handle(self, query, body, *match.groups())
        raise Refused(400, f"no handler found for {method} {path}")

    def index(self, name: str) -> Index:
        found = self.indexes.get(self.aliases.get(name, name))
        if found is None:
            raise Refused(404, f"index_not_found_exception: {name}")
        return found

    def create(self, _query: dict[str, str], body: str, name: str) -> Any:
        if name in self.indexes:
            raise Refused(400, "resource_already_exists_exception")
        mappings = json.loads(body)["mappings"]
        assert mappings["dynamic"] == "strict"
        self.indexes[name] = Index(mappings["properties"])
        return {"acknowledged": True, "index": name}

    def delete(self, _query: dict[str, str], _body: str, name: str) -> Any:
        self.index(name)
        if name in self.aliases:
            raise Refused(400, "an alias cannot be deleted as an index")
        del self.indexes[name]
        return {"acknowledged": True}

    def list(self, _query: dict[str, str], _body: str, prefix: str) -> Any:
        return {name: {} for name in self.indexes if name.startswith(prefix)}

    def get_alias(self, _query: dict[str, str], _body: str, name: str) -> Any:
        if name not in self.aliases:
            raise Refused(404, f"alias [{name}] missing")
        return {self.aliases[name]: {"aliases": {name: {}}}}

    def update_aliases(self, _query: dict[str, str], body: str) -> Any:
        for action in json.loads(body)["actions"]:
            ((kind, what),) = action.items()
            self.index(what["index"])
            if kind == "add":
                self.aliases[what["alias"]] = what["index"]
            elif kind == "remove_index":
                del self.indexes[what["index"]]
            else:
                raise Refused(400, f"unknown action {kind}")
        return {"acknowledged": True}

    def refresh(self, _query: dict[str, str], _body: str, name: str) -> Any:
        self.index(name).refresh()
        return {"_shards": {"failed": 0}}

    def stats(self, _query: dict[str, str], _body: str, name: str) -> Any:
        count = len(self.index(name).searchable)
        return {"_all": {"primaries": {"docs": {"count": count}, "store": {"size_in_bytes": 100 * count}}}}

    def bulk(self, _query: dict[str, str], body: str, name: str) -> Any:
        if not body.endswith("\n"):
            raise Refused(400, "the bulk request must be terminated by a newline")
        lines, items = iter(body.splitlines()), []
        for line in lines:
            ((action, place),) = json.loads(line).items()
            assert place["version_type"] == "external_gte"
            document = json.loads(next(lines)) if action == "index" else {}
            status: dict[str, Any] = {"status": 200}
            try:
                known = place["_id"] in self.index(name).searchable
                self.index(name).put(place["_id"], document, place["version"], gone=action == "delete")
                if action == "delete" and not known:
                    status = {"status": 404}
            except Refused as refused:
                status = {"status": refused.status, "error": {"reason": refused.reason}}
            items.append({action: status})
        return {"errors": any(status["status"] >= 400 for item in items for status in item.values()), "items": items}

    def get(self, _query: dict[str, str], _body: str, name: str, key: str) -> Any:
        document = self.index(name).written.get(key)
        if document is None:
            raise Refused(404, "not found")
        return {"_source": document.body, "_seq_no": document.seq_no, "_primary_term": 1}

    def put(self, query: dict[str, str], body: str, name: str, key: str) -> Any:
        index = self.indexes.setdefault(name, Index(None))
        there = index.written.get(key)
        if query.pop("op_type", "") == "create" and there is not None:
            raise Refused(409, "version_conflict_engine_exception: document already exists")
        wanted = query.pop("if_seq_no", None), query.pop("if_primary_term", None)
        if wanted != (None, None) and (there is None or wanted != (str(there.seq_no), "1")):
            raise Refused(409, "version_conflict_engine_exception")
        if query:
            raise Refused(400, f"unrecognized parameters: {query}")
        return {"_seq_no": index.put(key, json.loads(body), None).seq_no, "_primary_term": 1}

    def msearch(self, _query: dict[str, str], body: str) -> Any:
        lines = iter(body.splitlines())
        return {"responses": [self._search(json.loads(line)["index"], json.loads(next(lines))) for line in lines]}

    def _search(self, name: str, body: dict[str, Any]) -> Any:
        try:
            index = self.index(name)
        except Refused as refused:
            return {"error": {"reason": refused.reason}, "status": refused.status}
        if body.keys() - {"query", "sort", "size", "track_total_hits", "search_after"}:
            raise Refused(400, f"unknown key in {sorted(body)}")
        assert body["sort"] == [{"_score": "desc"}, {"rank": "desc"}]
        hits = []
        for key, document in index.searchable.items():
            score = _score(body["query"], document, index.properties or {})
            if score is not None:
                hits.append({"_id": key, "_score": score, "sort": [score, document["rank"]]})
        hits.sort(key=lambda hit: hit["sort"], reverse=True)
        after = body.get("search_after")
        shown = [hit for hit in hits if after is None or hit["sort"] < after][: body["size"]]
        return {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": shown}}


def _score(query: dict[str, Any], document: dict[str, Any], properties: dict[str, Any]) -> float | None:
    """The score of a document; None when it does not match."""
    ((kind, asked),) = query.items()
    if kind in _LEAVES:
        ((name, wanted),) = asked.items()
        if name not in properties:
            raise Refused(400, f"no mapping for {name}")
        held = document.get(name, [])
        values = held if isinstance(held, list) else [held]
        return 1.0 if any(_LEAVES[kind](value, wanted) for value in values) else None
    if kind == "constant_score":
        return asked["boost"] if _score(asked["filter"], document, properties) is not None else None
    if kind == "dis_max":
        scores = [score for each in asked["queries"] if (score := _score(each, document, properties)) is not None]
        return max(scores, default=None)
    if kind == "bool":
        return _bool(asked, document, properties)
    raise Refused(400, f"unknown query [{kind}]")


def _bool(asked: dict[str, Any], document: dict[str, Any], properties: dict[str, Any]) -> float | None:
    if asked.keys() - {"must", "filter", "must_not", "should", "minimum_should_match"}:
        raise Refused(400, f"[bool] query does not support {sorted(asked)}")
    must = [_score(each, document, properties) for each in asked.get("must", ())]
    should = [score for each in asked.get("should", ()) if (score := _score(each, document, properties)) is not None]
    narrowed = all(_score(each, document, properties) is not None for each in asked.get("filter", ()))
    excluded = any(_score(each, document, properties) is not None for each in asked.get("must_not", ()))
    needed = asked.get("minimum_should_match", 0 if "must" in asked or "filter" in asked else 1)
    if None in must or not narrowed or excluded or ("should" in asked and len(should) < needed):
        return None
    return sum(score for score in must if score is not None) + sum(should)


def _range(value: int, wanted: dict[str, int]) -> bool:
    assert wanted.keys() <= {"gte", "lte"}
    return wanted.get("gte", value) <= value <= wanted.get("lte", value)


_LEAVES: dict[str, Callable[[Any, Any], bool]] = {
    "term": lambda value, wanted: value == wanted,
    "prefix": lambda value, wanted: value.startswith(wanted["value"]),
    "fuzzy": lambda value, wanted: spelling.distance(value, wanted["value"]) <= wanted["fuzziness"],
    "range": _range,
}
_NAME = "([a-z0-9-]+)"
_ROUTES: list[tuple[str, Callable[..., Any]]] = [
    (f"PUT /{_NAME}", Cluster.create),
    (f"DELETE /{_NAME}", Cluster.delete),
    (rf"GET /{_NAME}\*", Cluster.list),
    (f"GET /_alias/{_NAME}", Cluster.get_alias),
    ("POST /_aliases", Cluster.update_aliases),
    (f"POST /{_NAME}/_refresh", Cluster.refresh),
    (f"GET /{_NAME}/_stats/docs,store", Cluster.stats),
    (f"POST /{_NAME}/_bulk", Cluster.bulk),
    (f"GET /{_NAME}/_doc/([^/]+)", Cluster.get),
    (f"PUT /{_NAME}/_doc/([^/]+)", Cluster.put),
    ("POST /_msearch", Cluster.msearch),
]


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
        parts = urlsplit(self.path)
        try:
            with self.cluster.lock:
                status, answer = 200, self.cluster.answer(self.command, parts.path, dict(parse_qsl(parts.query)), body)
        except Refused as refused:
            status, answer = refused.status, {"error": {"type": refused.reason, "reason": refused.reason}}
        sent = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def running() -> Iterator[tuple[Cluster, str]]:
    """A cluster and its URL."""
    cluster = Cluster()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": cluster}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield cluster, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
