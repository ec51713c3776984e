"""Finds and prepares the clients of others: programs of the system, and npm packages locked in `node/`.

A missing program fails the tests with the line that installs it; REPRISE_WITHOUT_CLIENTS=1 skips them instead.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = Path(__file__).parent / "node"
NODE_VERSION_MIN = 20
INSTALL_DEADLINE_S = 300


def program(name: str, debian_package: str) -> str:
    """The path of a program; without it the test is over."""
    path = shutil.which(name)
    return path or _missing(f"{name} is not installed: apt install {debian_package}")


def node() -> str:
    """Node with the packages of `node/package-lock.json` and the code generated from the protos beside it, made when stale."""
    path = program("node", "nodejs npm")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    if int(re.findall("[0-9]+", version)[0]) < NODE_VERSION_MIN:
        _missing(f"node {version} is too old: version {NODE_VERSION_MIN} is needed")
    with (NODE / "package.json").open() as lock:
        # Two test runs must not install at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _prepare(program("npm", "npm"))
    return path


def _prepare(npm: str) -> None:
    stamp = NODE / "node_modules" / "reprise.stamp"
    wanted = _digest([NODE / "package-lock.json", *sorted((ROOT / "protos").rglob("*.proto"))])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _run(npm, "ci", cwd=NODE)
    gen = NODE / "gen"
    shutil.rmtree(gen, ignore_errors=True)
    gen.mkdir()
    protos = [str(path.relative_to(ROOT / "protos")) for path in sorted((ROOT / "protos").rglob("*.proto"))]
    plugin = NODE / "node_modules" / ".bin" / "protoc-gen-es"
    protoc = (sys.executable, "-m", "grpc_tools.protoc", "-Iprotos", f"--plugin=protoc-gen-es={plugin}")
    _run(*protoc, f"--es_out={gen}", "--es_opt=target=js,import_extension=js", *protos, cwd=ROOT)
    stamp.write_text(wanted)


def _run(*argv: str, cwd: Path) -> None:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=INSTALL_DEADLINE_S)
    if done.returncode != 0:
        _missing(f"{' '.join(argv[:3])} failed in {cwd}: {(done.stderr.strip().splitlines() or ['nothing said'])[-1]}")


def _digest(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _missing(what: str) -> str:
    if os.environ.get("REPRISE_WITHOUT_CLIENTS") == "1":
        pytest.skip(what)
    pytest.fail(f"{what}; or REPRISE_WITHOUT_CLIENTS=1 to leave these tests out", pytrace=False)
