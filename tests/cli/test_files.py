"""The folder of a mesh: closed to others, secrets kept, one supervisor at a time, bounded logs."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reprise.cli import keys, lock, log_file, mesh_file
from reprise.cli.folder import Folder, write_whole
from reprise.cli.plan import Backends, Service
from reprise.errors import AlreadyExists, NotReady
from reprise.grants import derive_key
from reprise.manifests import parse_signing_key


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "mesh")
    folder.create()
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_look_inside(folder: Folder) -> None:
    keys.create(folder, ["edge-1"])
    assert mode(folder.path) == 0o700
    for path in folder.secret("").iterdir():
        assert mode(path) == 0o600, path


def test_secrets_are_made_once_and_derived_keys_fit(folder: Folder) -> None:
    keys.create(folder, ["edge-1"])
    before = {path.name: path.read_text() for path in folder.secret("").iterdir()}
    keys.create(folder, ["edge-1", "edge-2"])
    after = {path.name: path.read_text() for path in folder.secret("").iterdir()}
    assert before.items() <= after.items()
    mesh_key = bytes.fromhex(keys.read(folder, keys.MESH_KEY))
    assert bytes.fromhex(keys.read(folder, "edge-edge-2.key")) == derive_key(mesh_key, "edge-2")
    private = parse_signing_key(keys.read(folder, keys.MANIFEST_KEY).encode())
    assert private.public_key().public_bytes_raw().hex() == keys.read(folder, keys.MANIFEST_PUBLIC)


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotReady, match=r"cannot make .*choose another --data"):
        Folder(tmp_path / "file" / "mesh").create()


def test_a_second_supervisor_is_told_who_the_first_is(folder: Folder) -> None:
    assert lock.holder(folder) is None
    with lock.held(folder):
        assert lock.holder(folder) == os.getpid()
        with pytest.raises(AlreadyExists, match=rf"pid {os.getpid()}"), lock.held(folder):
            pass
    assert lock.holder(folder) is None


def test_a_killed_supervisor_leaves_no_lock(folder: Folder) -> None:
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom reprise.cli import lock\n"
        "from reprise.cli.folder import Folder\n"
        f"with lock.held(Folder(Path({str(folder.path)!r}))):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    assert done.returncode == -9
    assert lock.holder(folder) is None


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_whole(path, "old")
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_mesh_json_has_the_shape_that_tools_rely_on(folder: Folder) -> None:
    keys.create(folder, [])
    services = [
        Service("catalog", "catalog", 1, 2, {}),
        Service("indexer", "catalog.indexer", 9, 10, {}),
        Service("origin", "origin", 3, 4, {}),
        Service("balancer", "balancer", 5, 6, {}),
        Service("edge-1", "edge_node", 7, 8, {}, "north"),
    ]
    mesh_file.write(folder, services, {"catalog": 11, "edge-1": 12}, Backends("dsn", "url", "endpoint"))
    value = json.loads(folder.mesh_file.read_text())
    assert value["catalog"] == {"grpc": "127.0.0.1:1", "http": "http://127.0.0.1:2", "pid": 11}
    assert value["edges"] == [
        {"id": "edge-1", "region": "north", "grpc": "127.0.0.1:7", "http": "http://127.0.0.1:8", "pid": 12}
    ]
    assert set(value) == {"catalog", "indexer", "balancer", "origin", "edges", "postgres", "valkey", "s3"}
    assert set(value["s3"]) == {"endpoint", "bucket", "access_key", "secret_key"}
    with pytest.raises(NotReady, match="reprise up"):
        mesh_file.read(folder)
    with lock.held(folder):
        assert mesh_file.read(folder).edges[0].pid == 12


def test_a_large_log_is_moved_aside_under_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "BYTES_MAX", 100)
    path = tmp_path / "x.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"a" * 101)
        log_file.trim(path)
        writer.write(b"end\n")
    assert path.read_bytes() == b"end\n"
    assert (tmp_path / "x.log.1").read_bytes() == b"a" * 101
    assert log_file.tail(path) == ["end"]
    assert log_file.tail(tmp_path / "none") == []
