"""`reprise up` and `reprise down`: starts again quickly and where it was, side by side, once per folder, and leaves nothing."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from reprise.cli.folder import Folder
from tests.support.mesh import REPRISE, TestMesh, processes_of, running_mesh
from tests.support.wait import wait_until

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(300)]


def ports(mesh: TestMesh) -> list[tuple[str, str]]:
    value = mesh.json
    places = [value["catalog"], value["indexer"], *value["balancer"], *value["origin"], *value["edges"]]
    return [(place["grpc"], place["http"]) for place in places]


def test_a_second_start_is_quick_and_everything_is_where_it_was(tmp_path: Path) -> None:
    with running_mesh(tmp_path / "mesh", "--edges", "1") as mesh:
        before, dsn = ports(mesh), mesh.json["postgres"]
    started = time.monotonic()
    with running_mesh(tmp_path / "mesh", "--edges", "1") as mesh:
        # On a quiet machine it takes five; the bound leaves room for a busy one.
        assert time.monotonic() - started < 30
        assert ports(mesh) == before
        assert mesh.json["postgres"] == dsn
        status = json.loads(mesh.reprise("status", "--json").stdout)
        assert [row["name"] for row in status] == ["catalog", "indexer", "origin", "balancer", "edge-1"]
        assert all(row["up"] for row in status)


def test_two_meshes_run_side_by_side_but_never_two_in_one_folder(tmp_path: Path) -> None:
    with running_mesh(tmp_path / "one", "--edges", "1") as one, running_mesh(tmp_path / "two", "--edges", "1") as two:
        assert not set(ports(one)) & set(ports(two))
        again = one.reprise("up", check=False)
        assert again.returncode == 1
        assert f"runs already (pid {one.supervisor.pid}" in again.stderr


async def test_a_killed_service_comes_back_on_its_port_with_a_new_pid_in_mesh_json(tmp_path: Path) -> None:
    with running_mesh(tmp_path / "mesh", "--edges", "1") as mesh:
        before = mesh.json["balancer"][0]
        mesh.kill(before["pid"])

        def came_back() -> bool:
            return (
                mesh.json["balancer"][0]["pid"] != before["pid"] and mesh.reprise("status", check=False).returncode == 0
            )

        await wait_until(came_back, "the balancer is back", deadline_s=30)
        assert mesh.json["balancer"][0]["grpc"] == before["grpc"]
        assert (
            f"balancer died (signal SIGKILL), starting it again in 0.2 s; log: {mesh.data}/logs/balancer.log"
            in mesh.log("up")
        )


async def test_a_killed_supervisor_takes_everything_with_it_and_the_next_start_works(tmp_path: Path) -> None:
    data = tmp_path / "mesh"
    with running_mesh(data, "--edges", "1") as mesh:
        os.kill(mesh.supervisor.pid, signal.SIGKILL)
        await wait_until(lambda: not processes_of(data), "every process ended", deadline_s=20)
    with running_mesh(data, "--edges", "1") as mesh:
        assert mesh.reprise("status").returncode == 0


def test_detach_returns_when_all_is_ready_and_down_ends_all(tmp_path: Path) -> None:
    data, music = tmp_path / "mesh", tmp_path / "music"
    music.mkdir()
    argv = (*REPRISE, "up", "--data", str(data), "--music", str(music), "--edges", "1", "--detach")
    up = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
    try:
        assert up.returncode == 0, up.stderr
        assert json.loads(Folder(data).mesh_file.read_text())["catalog"]["http"] in up.stdout
    finally:
        down = subprocess.run(
            (*REPRISE, "down", "--data", str(data)), capture_output=True, text=True, timeout=100, check=False
        )
    assert down.returncode == 0, down.stderr
    assert not processes_of(data)
    assert not Folder(data).mesh_file.exists()


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "mesh"
    with running_mesh(data, "--edges", "1"):
        pass
    (data / "postgres" / "data" / "PG_VERSION").write_text("9\n")
    argv = (*REPRISE, "up", "--data", str(data), "--music", str(tmp_path), "--detach")
    up = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
    assert up.returncode == 1
    assert "postgres does not come up" in up.stdout + up.stderr
    assert "initialized by PostgreSQL version 9" in up.stdout + up.stderr
    assert not processes_of(data)
