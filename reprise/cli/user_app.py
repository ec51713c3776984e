"""`reprise user`, `reprise login` and `reprise logout`: their options.

A password is never an argument: others on the machine see those.
"""

import asyncio
import sys
from typing import Annotated

import typer

from reprise.cli import folder as folders
from reprise.cli.options import Data, Json

app = typer.Typer(help="Listeners with a name and a password.", no_args_is_help=True)
sessions = typer.Typer()

Name = Annotated[str, typer.Argument(metavar="NAME", help="As the listener logs in.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking for it.")
]


@app.command()
def add(name: Name, data: Data = None, password_stdin: FromStdin = False, as_json: Json = False) -> None:
    """Make a user."""
    from reprise.cli import users

    folder, password = folders.locate(data), _new_password(from_stdin=password_stdin)
    asyncio.run(users.set_user(folder, name, password, replace=False, as_json=as_json))


@app.command()
def password(name: Name, data: Data = None, password_stdin: FromStdin = False, as_json: Json = False) -> None:
    """Give a user another password, and end all sessions of the old one."""
    from reprise.cli import users

    folder, chosen = folders.locate(data), _new_password(from_stdin=password_stdin)
    asyncio.run(users.set_user(folder, name, chosen, replace=True, as_json=as_json))


@sessions.command()
def login(
    name: Annotated[
        str,
        typer.Option(help="Log in with a password. [default: as this device, without an account]", show_default=False),
    ] = "",
    data: Data = None,
    password_stdin: FromStdin = False,
    as_json: Json = False,
) -> None:
    """Log in: what `reprise play` asks for is then asked in this session."""
    from reprise.cli import login as logins

    if password_stdin and not name:
        raise typer.BadParameter("--password-stdin needs --name")
    asked = _asked("password", from_stdin=password_stdin) if name else ""
    asyncio.run(logins.log_in(folders.locate(data), name, asked, as_json=as_json))


@sessions.command()
def logout(data: Data = None, as_json: Json = False) -> None:
    """End the session."""
    from reprise.cli import login as logins

    asyncio.run(logins.log_out(folders.locate(data), as_json=as_json))


def _new_password(*, from_stdin: bool) -> str:
    chosen = _asked("new password", from_stdin=from_stdin)
    if not from_stdin and _asked("once more", from_stdin=False) != chosen:
        raise typer.BadParameter("the two passwords differ")
    return chosen


def _asked(what: str, *, from_stdin: bool) -> str:
    """One line of standard input, or what is typed without being shown."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask for the password at: give --password-stdin")
    answer: str = typer.prompt(what, hide_input=True, err=True)
    return answer
