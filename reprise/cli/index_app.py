"""`reprise index`: its commands and their options."""

import asyncio

import typer

from reprise.cli import folder as folders
from reprise.cli.options import Data, Json

app = typer.Typer(name="index", help="The search index: what it holds, and making it anew.", no_args_is_help=True)


@app.command()
def status(data: Data = None, as_json: Json = False) -> None:
    """What the index holds, and how far it is behind the database."""
    from reprise.cli import index

    asyncio.run(index.status(folders.locate(data), as_json=as_json))


@app.command()
def rebuild(data: Data = None, as_json: Json = False) -> None:
    """Make the index anew from the database, beside the one in use, and put it in its place."""
    from reprise.cli import index

    asyncio.run(index.rebuild(folders.locate(data), as_json=as_json))
