"""What a process does not load at its start: a restarted edge plays from disk as soon as Python has read its modules."""

import subprocess
import sys


def loaded_by(imports: str) -> set[str]:
    """The packages that are there after `imports` in a Python of its own."""
    code = f"import sys, {imports}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_an_edge_starts_without_what_it_may_never_use() -> None:
    loaded = loaded_by("edge_node.__main__")
    assert {"edge_node", "grpc", "structlog"} <= loaded
    assert loaded.isdisjoint({"opentelemetry", "rich", "psutil", "attr"})


def test_the_command_line_starts_without_the_network() -> None:
    loaded = loaded_by("reprise.cli.app")
    assert "typer" in loaded
    assert loaded.isdisjoint({"grpc", "opentelemetry", "structlog", "prometheus_client"})


def test_what_the_logger_hides_from_structlog_is_there_for_everybody_else() -> None:
    code = "import reprise.log, rich.console; rich.console.Console().print('found')"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "found\n"
