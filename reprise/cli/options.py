"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="REPRISE_DATA", help="The mesh's folder. [default: ~/.local/share/reprise]", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON for programs instead of text.")]
