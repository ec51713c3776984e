"""The entry point: runs a command, and turns what went wrong into one line that says what to do.

Exit codes: 0 done, 1 it did not work, 2 the command line is wrong, 130 interrupted.
"""

import os
import sys

# Children are exec'd, never forked to go on: gRPC's fork handlers would only cost time.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def main() -> None:
    """Runs `reprise`."""
    from reprise.cli.app import app
    from reprise.errors import InvalidRequest, RepriseError

    try:
        app(prog_name="reprise")
    except RepriseError as error:
        sys.stderr.write(f"reprise: {error.message}\n")
        sys.exit(2 if isinstance(error, InvalidRequest) else 1)
    except BrokenPipeError:
        # The reader of our output has gone; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("reprise: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
