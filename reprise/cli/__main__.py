"""The entry point: runs a command, and turns what went wrong into one line that says what to do.

Exit codes: 0 done, 1 it did not work, 2 the command line is wrong, 130 interrupted.
"""

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

# Children are exec'd, never forked to go on: gRPC's fork handlers would only cost time.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ["GRPC_VERBOSITY"] = "NONE"
# As a service's tls_ca_path.
CA_VARIABLE = "REPRISE_TLS_CA_PATH"


def main() -> None:
    """Runs `reprise`."""
    import typer
    from typer.main import get_command

    from reprise.cli.app import app
    from reprise.errors import InvalidRequest, RepriseError

    try:
        with _trusting():
            code = get_command(app).main(prog_name="reprise", standalone_mode=False)
    except RepriseError as error:
        _end(error.message, 2 if isinstance(error, InvalidRequest) else 1)
    except _usage_error() as error:
        if error.format_message():
            _end(f"{error.format_message()} (`reprise --help` lists commands and options)", 2)
        sys.exit(2)  # without a command; the help was shown
    except BrokenPipeError:
        # The reader of our output has gone; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        _end("interrupted", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _trusting() -> AbstractContextManager[None]:
    """Most meshes on one machine speak plain text, and then a command need not load gRPC for this."""
    path = os.environ.get(CA_VARIABLE)
    if not path:
        return nullcontext()
    from reprise import rpc_tls

    return rpc_tls.trusting(Path(path))


def _usage_error() -> Any:
    # Typer does not export the base of what it raises for a wrong command line.
    import typer

    return typer.BadParameter.__base__


def _end(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"reprise: {message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
