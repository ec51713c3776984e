"""A service as a process: settings in, JSON lines out, one clear line when a setting is wrong."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reprise.open_files import OPEN_FILES_MAX

ROOT = Path(__file__).parents[2]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the toy service with settings from the environment; ends what is left."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **settings: str) -> subprocess.Popen[str]:
        environ = os.environ | {f"REPRISE_TOY_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "tests.reprise.toy_service", *arguments]
        started.append(subprocess.Popen(command, env=environ, cwd=ROOT, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for popen in started:
        popen.kill()
        popen.communicate()


def test_a_process_serves_logs_json_lines_and_ends_cleanly_on_sigterm(
    process: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    toml = tmp_path / "toy.toml"
    toml.write_text('log_level = "info"\n')
    popen = process("--config", str(toml))
    assert popen.stderr is not None
    listening = json.loads(popen.stderr.readline())
    assert (listening["event"], listening["service"]) == ("listening", "toy")
    with socket.create_connection(("127.0.0.1", listening["http_port"]), timeout=20):
        popen.send_signal(signal.SIGTERM)
        _, log = popen.communicate(timeout=30)
    assert popen.returncode == 0
    assert [json.loads(line)["event"] for line in log.splitlines()][-1] == "stopping"


def test_a_process_may_open_as_many_files_as_its_hard_limit_allows() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shell = ["sh", "-c", 'ulimit -S -n 512; exec "$0" -m tests.reprise.toy_service', sys.executable]
    with subprocess.Popen(shell, cwd=ROOT, stderr=subprocess.PIPE, text=True) as popen:
        try:
            assert popen.stderr is not None
            assert json.loads(popen.stderr.readline())["event"] == "listening"
            assert resource.prlimit(popen.pid, resource.RLIMIT_NOFILE) == (min(hard, OPEN_FILES_MAX), hard)
        finally:
            popen.kill()


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("drain_deadline_s", "soon", "toy: REPRISE_TOY_DRAIN_DEADLINE_S must be float, not 'soon'"),
        ("grpc_address", "nowhere", "toy: grpc_address must be \"host:port\", not 'nowhere'"),
        ("toy_id", "a b", "toy: toy_id must be 1 to 64 of A-Z a-z 0-9 _ -, not 'a b'"),
        ("log_level", "loud", "toy: log_level must be debug, info, warning, error or critical, not 'loud'"),
        ("log_format", "xml", "toy: log_format must be json or console, not 'xml'"),
    ],
)
def test_a_wrong_setting_ends_a_process_with_one_clear_line(
    process: Callable[..., subprocess.Popen[str]], field: str, value: str, complaint: str
) -> None:
    popen = process(**{field: value})
    _, log = popen.communicate(timeout=30)
    assert (popen.returncode, log) == (1, complaint + "\n")
