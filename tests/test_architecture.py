"""The rules of ARCHITECTURE.md that a machine can check: who imports whom, what pure modules touch, sizes, names, documents.

Only the text of the sources is read, by `ast`; settings alone are imported, to compare them with their document.
"""

import ast
import dataclasses
import functools
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("balancer", "catalog", "edge_node", "origin", "reprise")

# Decisions without I/O, clock or chance. A module that is named here and gone fails the test: the list stays true.
PURE = frozenset(
    {
        "balancer.callers", "balancer.edges", "balancer.ejection", "balancer.events", "balancer.geography.cidrs",
        "balancer.geography.nearness", "balancer.geography.networks", "balancer.geography.probes",
        "balancer.geography.regions", "balancer.ledger", "balancer.listeners", "balancer.membership",
        "balancer.mesh", "balancer.minting", "balancer.orders", "balancer.phi", "balancer.picking", "balancer.policy",
        "balancer.preheat_plan", "balancer.purges", "balancer.ramp", "balancer.regions", "balancer.renditions",
        "balancer.replicas", "balancer.scaling", "balancer.self_doubt", "balancer.spill", "balancer.standings",
        "balancer.steering", "balancer.utilisation", "balancer.views", "balancer.want",
        "catalog.cursors", "catalog.database.positions", "catalog.database.standings", "catalog.database.trail",
        "catalog.identity", "catalog.indexer.checkpoint", "catalog.indexer.garbage", "catalog.listing", "catalog.model",
        "catalog.moments", "catalog.normalise", "catalog.operators", "catalog.popularity", "catalog.publication",
        "catalog.query", "catalog.resuming.beats", "catalog.resuming.breaker", "catalog.resuming.journal",
        "catalog.resuming.pending", "catalog.resuming.resume", "catalog.searching.backend",
        "catalog.searching.documents", "catalog.searching.manifest", "catalog.searching.tiers",
        "catalog.searching.vocabulary", "catalog.sessions.attempts", "catalog.sessions.credentials",
        "catalog.sessions.issuing", "catalog.sessions.listeners", "catalog.sessions.refresh_tokens",
        "catalog.sessions.wire", "catalog.spelling",
        "edge_node.breaker", "edge_node.coalescing", "edge_node.disk_admission", "edge_node.eviction", "edge_node.heat",
        "edge_node.homes", "edge_node.origin_budget", "edge_node.pages", "edge_node.play_stream", "edge_node.ranges",
        "edge_node.scrub_pace", "edge_node.sessions", "edge_node.sidecar", "edge_node.sources", "edge_node.tally",
        "edge_node.utilisation", "edge_node.views", "edge_node.workers.messages", "edge_node.workers.stream_counts",
        "origin.coalescing", "origin.ingest.boxes", "origin.ingest.ladder", "origin.ingest.settling", "origin.ingest.tag_rules",
        "reprise.chunks", "reprise.cli.failover", "reprise.cli.restart", "reprise.cli.when", "reprise.clients",
        "reprise.errors", "reprise.grants", "reprise.grpc_web_frames",
        "reprise.http_head", "reprise.http_message", "reprise.ids", "reprise.manifests", "reprise.placement",
        "reprise.prefixes", "reprise.session_tokens",
    }
)  # fmt: skip
PURE_MAY_IMPORT = frozenset(
    {
        "base64", "binascii", "bisect", "collections", "dataclasses", "datetime", "email", "enum", "functools", "hashlib",
        "heapq", "hmac", "http", "ipaddress", "itertools", "json", "math", "re", "struct", "typing", "unicodedata", "urllib",
        "uuid", "zlib",
        # Computation only: CBOR, JWT, signatures, a mapping with a bound, protobuf's error.
        "cbor2", "jwt", "cryptography", "cachetools", "google",
    }
)  # fmt: skip

# Where messages of the services are built and read; deeper code sees our own values.
MESSAGE_MODULES = re.compile(
    r"""reprise\.cli\.\w+|\w+(\.\w+)*\.(
        __main__|servicer|admin_servicer|(operator_|song_)?wire|\w+_client|upstream|web_door|play_stream|publish|reporting|commands|load|
        orca_servicer
    )""",
    re.VERBOSE,
)
# Values that are handed on as they were signed, and their vocabulary.
SHARED_VALUES = frozenset({"Rendition", "SegmentIndex", "SignedManifest", "Manifest", "Codec"})

FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"})
FILE_LINES_MAX, FUNCTION_LINES_MAX = 400, 60


def _python_files(*folders: str) -> list[Path]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if not {"v1", "v3"} & set(path.parts))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {_name(path): path for path in _python_files(*PACKAGES)}
ALL_FILES = _python_files(*PACKAGES, "tests", "bench")


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of every import; the name is empty for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)


def _modules(name: str) -> set[str]:
    """Our modules and others' packages that a module imports; `from a import b` counts as a.b where that is a module."""
    pairs = _imports(_tree(SOURCES[name]))
    return {f"{module}.{item}" if _is_module(f"{module}.{item}") else module for module, item in pairs}


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_services_meet_in_protos_only(name: str) -> None:
    package = name.partition(".")[0]
    ours = {module.partition(".")[0] for module in _modules(name)} & {*PACKAGES, "tests", "bench"}
    assert ours <= {package, "reprise"}


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_import_only_what_computes(name: str) -> None:
    assert name in SOURCES, "this module is declared pure and does not exist"
    for module in _modules(name):
        if module.partition(".")[0] in PACKAGES:
            assert module in PURE or module.endswith("_pb2"), f"{module} is not pure"
        else:
            assert module.partition(".")[0] in PURE_MAY_IMPORT, f"{module} is not in the allow-list"


@pytest.mark.parametrize("name", sorted(PURE & SOURCES.keys()))
def test_pure_modules_make_no_random_ids_and_read_no_clock(name: str) -> None:
    named = [node for node in ast.walk(_tree(SOURCES[name])) if isinstance(node, ast.Attribute)]
    assert not {node.attr for node in named} & {"uuid1", "uuid4", "utcnow", "today"}
    assert not [node for node in named if ast.unparse(node) in ("datetime.now", "datetime.datetime.now")]


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_messages_stop_at_servicers_and_clients(name: str) -> None:
    for module, item in _imports(_tree(SOURCES[name])):
        if not module.startswith("reprise.") or "_pb2" not in f"{module}.{item}" or MESSAGE_MODULES.fullmatch(name):
            continue
        assert module == "reprise.types.v1.types_pb2", f"{module}.{item} may not come this deep"
        assert item in SHARED_VALUES, f"{item} is not a shared value"


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_only_main_reads_settings(name: str) -> None:
    if not name.endswith("__main__"):
        assert not [module for module in _modules(name) if module.endswith(".settings")]


@pytest.mark.parametrize("name", sorted(SOURCES.keys() - {"reprise.log"}))
def test_loggers_come_from_one_place(name: str) -> None:
    assert "structlog" not in _modules(name), "take get_logger from reprise.log, which keeps the start short"


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_a_readers_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"


def test_no_file_has_a_name_that_says_nothing() -> None:
    named = {part for path in ALL_FILES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not named & FORBIDDEN_NAMES


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(_tree(SOURCES[name]))


def test_lock_files_name_no_host() -> None:
    locks = [path for path in (ROOT / "requirements").iterdir() if path.is_file()]
    locks += [path for name in ("package-lock.json", "uv.lock") for path in ROOT.glob(f"[a-z]*/{name}")]
    assert len(locks) >= 2
    for path in locks:
        assert not re.search(r"://|--(extra-)?index-url|--find-links", path.read_text()), path


# Settings and their document


def _settings() -> dict[str, type]:
    """Settings classes by the section of the document that describes them."""
    names = [_name(path) for path in _python_files(*PACKAGES) if path.name == "settings.py"]
    classes = {name.split(".")[-2]: importlib.import_module(name).Settings for name in names}
    return classes | {"Every service": importlib.import_module("reprise.service").ServiceSettings}


def _documented() -> dict[str, dict[str, str]]:
    """Defaults by field by section of docs/configuration.md."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    sections = {section.partition("\n")[0]: section for section in text.split("\n## ")[1:]}
    rows = {name: re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", body, re.MULTILINE) for name, body in sections.items()}
    return {name: dict(pairs) for name, pairs in rows.items() if pairs}


def _shown(field: dataclasses.Field[object]) -> str:
    if field.default is dataclasses.MISSING:
        return "required"
    return "empty" if field.default in ("", (), None) else f"`{field.default}`"


SETTINGS = _settings()


@pytest.mark.parametrize("section", sorted(SETTINGS))
def test_every_setting_is_documented_with_its_default(section: str) -> None:
    inherited = {f.name for f in dataclasses.fields(SETTINGS["Every service"])} if section != "Every service" else set()
    own = [field for field in dataclasses.fields(SETTINGS[section]) if field.name not in inherited]
    assert _documented()[section] == {field.name: _shown(field) for field in own}


def test_the_document_describes_no_service_that_does_not_exist() -> None:
    assert sorted(_documented()) == sorted(SETTINGS)
