"""`reprise import`: runs an import into a running mesh and shows each file's outcome."""

import contextlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reprise.cli import index, mesh_file, plan, when
from reprise.cli.folder import Folder
from reprise.cli.narrator import Narrator
from reprise.cli.songs_import import Options, Tally, events


async def run(folder: Folder, paths: Sequence[Path], options: Options, *, as_json: bool, release_at: str = "") -> int:
    """The exit code: 0 when every file is in the catalog now, 1 when one failed or the import stopped early."""
    at_unix_ms = when.parse(release_at, time.time_ns() // 1_000_000, "--release-at") if release_at else 0
    mesh = mesh_file.read(folder)
    environment = plan.ingest_environment(folder, mesh.catalog.grpc, mesh.s3_endpoint)
    told = events(paths, environment, folder.log("import"), replace(options, release_at_unix_ms=at_unix_ms))
    tally, voice, found = Tally(), Narrator(), 0
    with contextlib.nullcontext() if as_json else voice.progress("importing") as bar:
        async with contextlib.aclosing(told):
            async for event in told:
                tally.add(event)
                if bar is None:
                    sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
                    sys.stdout.flush()
                elif event["event"] == "start":
                    # A watched folder brings one batch after the other.
                    found += event["total"]
                    bar.total(found)
                elif event["event"] == "file":
                    bar.advance()
                    voice.plain(_line(event))
    await index.wait_found(folder)
    if not as_json:
        voice.plain(tally.text)
    if tally.error:
        sys.stderr.write(f"reprise: the import stopped early: {tally.error}\n")
    return 1 if tally.error or tally.failed else 0


def _line(event: Mapping[str, Any]) -> str:
    detail = "; ".join([event["reason"] or event["title"], *event["notes"]])
    return f"{event['outcome']:<8}  {event['path']}{'  ' + detail if detail else ''}"
