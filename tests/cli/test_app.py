"""The command line as a user meets it: one line that says what to do, the right exit code, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def reprise(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    argv = (sys.executable, "-m", "reprise.cli", *arguments)
    env = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **environment}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=env)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("search", "x"),
        ("play", "x"),
        ("drain", "edge-1"),
        ("prewarm", "x"),
        ("purge", "x"),
        ("import", "."),
        ("release", "--list"),
        ("release", "x", "--at", "now"),
        ("prewarm", "x", "--at", "+5m"),
        ("login",),
    ],
    ids=" ".join,
)
def test_without_a_mesh_it_says_how_to_start_one(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = reprise(arguments[0], "--data", str(tmp_path / "none"), *arguments[1:])
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"reprise: no mesh runs in {tmp_path}/none: start one with `reprise up`, or name its folder with --data"
    ]


def test_down_without_a_mesh_is_no_error(tmp_path: Path) -> None:
    done = reprise("down", REPRISE_DATA=str(tmp_path))
    assert done.returncode == 0
    assert f"no mesh runs in {tmp_path}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("up", "--edges", "0"), "--edges 0 is out of range"),
        (("up", "--regions", "a,a"), "--regions needs different names"),
        (("up", "--edges", "many"), "--edges"),
        (("up", "--music", "/no/such/folder"), "/no/such/folder"),
        (("play", "x", "--door", "window"), "window"),
        (("search",), "QUERY"),
        (("release", "x"), "--at WHEN"),
        (("release", "x", "--list"), "--list alone"),
        (("release", "x", "--at", "tomorrow"), "'tomorrow'"),
        (("prewarm", "x", "--whole"), "--at now"),
        (("import", ".", "--release-at", "2020-01-01T00:00Z"), "2020-01-01T00:00Z is over"),
        (("takedown", "x"), "--reason TEXT"),
        (("takedown", "x", "--release", "y", "--reason", "z"), "--release ID"),
        (("takedown", "x", "--reason", "z", "--restore"), "--restore"),
        (("merge", "label", "x", "y"), "label"),
        (("dance",), "dance"),
    ],
    ids=lambda value: value[0] + value[-1] if isinstance(value, tuple) else "",
)
def test_a_wrong_command_line_names_the_value_and_exits_2(
    arguments: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    done = reprise(*arguments, REPRISE_DATA=str(tmp_path / "mesh"))
    assert done.returncode == 2
    assert named in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_names_every_command() -> None:
    done = reprise("--help")
    assert done.returncode == 0
    for command in (
        "up",
        "down",
        "import",
        "search",
        "play",
        "status",
        "drain",
        "prewarm",
        "purge",
        "release",
        "takedown",
        "merge",
        "alias",
    ):
        assert f" {command} " in done.stdout, command


def test_a_shell_can_complete_commands() -> None:
    done = reprise(_REPRISE_COMPLETE="complete_bash", COMP_WORDS="reprise st", COMP_CWORD="1")
    assert done.stdout.split() == ["status"]
