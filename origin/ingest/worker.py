"""A worker process: `python -m origin.ingest.worker SONG_S_MAX LADDER`. A line a job, a line an answer, until input ends.

It parses and decodes files from anywhere, so it holds no keys, speaks to no network, and may crash: its parent names the file
and starts another. It is started with exec, never forked, because gRPC and libav hold threads and locks.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import av.logging

from origin.ingest import ladder
from origin.ingest.covers import make_cover
from origin.ingest.decoding import BadAudio
from origin.ingest.encoding import BadRendition
from origin.ingest.job import Prepared, Rejected, to_line
from origin.ingest.ladder import Rung
from origin.ingest.tags import read_tags
from origin.ingest.transcode import transcode

# Listeners come first: the import takes the CPU that they leave.
NICENESS = 5


def prepare(path: Path, folder: Path, rungs: Sequence[Rung], song_s_max: float) -> Prepared | Rejected:
    """Tags, cover, loudness and renditions of the file at `path`; files are written to `folder`."""
    try:
        made = transcode(path, folder, rungs, song_s_max)
    except BadAudio as reason:
        return Rejected(str(reason))
    except BadRendition as fault:
        return Rejected(f"internal error: {fault}")
    tags, embedded = read_tags(path)
    cover, notes = make_cover(embedded, path.parent, folder)
    return Prepared(tags, made.renditions, made.loudness, cover, (*made.notes, *notes))


def main() -> None:
    """Answers jobs until standard input ends."""
    av.logging.set_level(None)
    os.nice(NICENESS)
    song_s_max, rungs = float(sys.argv[1]), ladder.parse(sys.argv[2])
    # What a library prints must not mix with answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        for line in sys.stdin.buffer:
            job = json.loads(line)
            answers.write(to_line(prepare(Path(job["path"]), Path(job["folder"]), rungs, song_s_max)))
            answers.flush()


if __name__ == "__main__":
    main()
