"""Listeners with names: made by an operator, logged in by a command, played for, and logged out."""

import json
import stat
import subprocess
import sys
from pathlib import Path

from tests.mesh.listener import Library
from tests.support.mesh import TestMesh

PASSWORD = "correct horse battery"


def reprise(mesh: TestMesh, *arguments: str, sent: str = "") -> "subprocess.CompletedProcess[str]":
    argv = (sys.executable, "-m", "reprise.cli", *arguments, "--data", str(mesh.data))
    return subprocess.run(argv, input=sent, capture_output=True, text=True, timeout=120, check=False)


def test_a_user_is_made_logs_in_plays_and_logs_out(mesh: TestMesh, library: Library, tmp_path: Path) -> None:
    made = reprise(mesh, "user", "add", "Ada", "--password-stdin", "--json", sent=f"{PASSWORD}\n")
    assert json.loads(made.stdout)["created"] is True, made.stderr
    again = reprise(mesh, "user", "add", "ada", "--password-stdin", sent=f"{PASSWORD}\n")
    assert (again.returncode, "there is a user 'ada'" in again.stderr) == (1, True)
    wrong = reprise(mesh, "login", "--name", "Ada", "--password-stdin", sent="wrong horse battery\n")
    assert (wrong.returncode, wrong.stderr) == (1, "reprise: unknown name or wrong password\n")

    done = reprise(mesh, "login", "--name", "Ada", "--password-stdin", "--json", sent=f"{PASSWORD}\n")
    assert json.loads(done.stdout) == {"user_id": json.loads(made.stdout)["user_id"], "name": "Ada"}
    for name in ("session.json", "device.json"):
        assert stat.S_IMODE((mesh.data / name).stat().st_mode) == 0o600
    assert reprise(mesh, "play", library.take(), "-o", str(tmp_path / "song")).returncode == 0

    assert reprise(mesh, "logout").stdout == "logged out\n"
    assert not (mesh.data / "session.json").exists()
    assert reprise(mesh, "logout").stderr == "reprise: nobody is logged in: `reprise login` does that\n"
    # PASSWORD is nowhere in what services wrote.
    assert PASSWORD not in mesh.log("catalog")


def test_a_device_without_an_account_stays_the_same_listener(mesh: TestMesh) -> None:
    first = json.loads(reprise(mesh, "login", "--json").stdout)
    reprise(mesh, "logout")
    assert json.loads(reprise(mesh, "login", "--json").stdout) == first
    reprise(mesh, "logout")


def test_without_a_terminal_a_password_is_not_waited_for(mesh: TestMesh) -> None:
    refused = reprise(mesh, "user", "add", "Bob")
    assert refused.returncode == 2
    assert "--password-stdin" in refused.stderr
