"""A worker process: `python -m origin.ingest.worker SONG_S_MAX`. One line a job, one line an answer, until its input ends.

It parses and decodes files from anywhere, so it holds no keys, speaks to no network, and may crash: its parent names the file
and starts another. It is started with exec, never forked, because gRPC and libav hold threads and locks.
"""

import json
import os
import sys
from pathlib import Path

import av.logging

from origin.ingest.covers import choose_cover
from origin.ingest.job import Prepared, Rejected, to_line
from origin.ingest.tags import read_tags
from origin.ingest.transcode import BadAudio, transcode

# Listeners come first: the import takes the CPU that they leave.
NICENESS = 5


def prepare(path: Path, folder: Path, song_s_max: float) -> Prepared | Rejected:
    """Tags, cover and renditions of the file at `path`; files are written to `folder`."""
    try:
        renditions = transcode(path, folder, song_s_max)
    except BadAudio as reason:
        return Rejected(str(reason))
    tags, embedded = read_tags(path)
    cover = choose_cover(embedded, path.parent)
    if cover is None:
        return Prepared(tags, tuple(renditions))
    cover_path = folder / "cover"
    cover_path.write_bytes(cover.data)
    return Prepared(tags, tuple(renditions), str(cover_path), cover.sha256, cover.mime_type)


def main() -> None:
    """Answers jobs until standard input ends."""
    av.logging.set_level(None)
    os.nice(NICENESS)
    # What a library prints must not mix with answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        for line in sys.stdin.buffer:
            job = json.loads(line)
            answers.write(to_line(prepare(Path(job["path"]), Path(job["folder"]), float(sys.argv[1]))))
            answers.flush()


if __name__ == "__main__":
    main()
