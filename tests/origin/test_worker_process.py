"""A worker that works, crashes, hangs or talks nonsense: each costs one file."""

import sys
from pathlib import Path

import pytest

from origin.ingest.job import Prepared, Rejected
from origin.ingest.worker_process import WorkerProcess
from tests.origin.sound import PNG, write_song

# Answers every job but the one whose path says otherwise.
MISCHIEF = """
import json, os, signal, sys
for line in sys.stdin:
    path = json.loads(line)["path"]
    if "segfault" in path: os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in path: signal.pause()
    if "raise" in path: raise RuntimeError("a bug in a parser")
    if "nonsense" in path: os.write(1, b"x" * (2 << 20))
    print(json.dumps({"rejected": {"reason": f"pid {os.getpid()}"}}), flush=True)
"""


async def test_a_real_worker_prepares_one_file_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "cover.png").write_bytes(PNG)
    worker = WorkerProcess(timeout_s=60, song_s_max=60)
    for title in ("One", "Two"):
        folder = tmp_path / f"out-{title}"
        folder.mkdir()
        prepared = await worker.prepare(write_song(tmp_path / f"{title}.flac", title=title, artist="A feat. B"), folder)
        assert isinstance(prepared, Prepared)
        assert (prepared.tags.title, [credit.name for credit in prepared.tags.artists]) == (title, ["A", "B"])
        assert [rendition.codec for rendition in prepared.renditions] == ["opus", "opus", "aac", "flac"]
        assert prepared.cover is not None
        assert Path(prepared.cover.path).read_bytes() == PNG
        assert prepared.duration_ms == 1000
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"no audio at all")
    assert isinstance(await worker.prepare(bad, tmp_path), Rejected)
    await worker.close()


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("segfault.mp3", "the worker died on it: SIGSEGV"),
        ("raise.mp3", "the worker died on it: RuntimeError: a bug in a parser"),
        ("hang.mp3", "it took longer than 2 s"),
        ("nonsense.mp3", "the worker died on it: SIGKILL"),
    ],
)
async def test_a_worker_that_fails_costs_one_file_and_the_next_gets_a_new_one(
    tmp_path: Path, file: str, reason: str
) -> None:
    worker = WorkerProcess(timeout_s=2, song_s_max=60, command=(sys.executable, "-c", MISCHIEF))
    before = await worker.prepare(tmp_path / "good.mp3", tmp_path)
    assert await worker.prepare(tmp_path / file, tmp_path) == Rejected(reason)
    after = await worker.prepare(tmp_path / "good.mp3", tmp_path)
    assert isinstance(before, Rejected)
    assert isinstance(after, Rejected)
    assert after.reason.startswith("pid ")
    assert before.reason != after.reason
    await worker.close()


async def test_a_worker_ends_with_its_owner(tmp_path: Path) -> None:
    worker = WorkerProcess(timeout_s=5, song_s_max=60, command=(sys.executable, "-c", MISCHIEF))
    await worker.prepare(tmp_path / "good.mp3", tmp_path)
    process = worker._process
    assert process is not None
    await worker.close()
    assert process.returncode is not None
