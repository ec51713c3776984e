"""`python -m origin.ingest` as a process: its lines, its exit codes."""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from reprise import s3
from tests.origin.fake_catalog import OPERATOR_KEY, FakeCatalog, served
from tests.origin.sound import write_song


def environment_for(bucket: s3.Bucket, tmp_path: Path) -> dict[str, str]:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "operator.key").write_text(OPERATOR_KEY.hex())
    (keys / "manifest.key").write_text("07" * 32)
    return os.environ | {
        "REPRISE_INGEST_S3_ENDPOINT": bucket.endpoint,
        "REPRISE_INGEST_S3_BUCKET": bucket.name,
        "REPRISE_INGEST_S3_CREDENTIALS_PATH": str(bucket.credentials_path),
        "REPRISE_INGEST_MANIFEST_KEY_PATH": str(keys / "manifest.key"),
        "REPRISE_INGEST_OPERATOR_KEY_PATH": str(keys / "operator.key"),
    }


async def ingest(environment: dict[str, str], *arguments: str) -> tuple[int, list[str], str]:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "origin.ingest", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode().splitlines(), err.decode()


async def test_the_command_speaks_json_lines_or_plain_text(s3_bucket: s3.Bucket, tmp_path: Path) -> None:
    environment = environment_for(s3_bucket, tmp_path)
    write_song(tmp_path / "1.flac", title="One", artist="A")
    write_song(tmp_path / "2.flac", title="Two", artist="A", tone_hz=500)
    async with served(FakeCatalog()) as address:
        environment["REPRISE_INGEST_CATALOG_ADDRESS"] = address
        code, lines, _ = await ingest(environment, "--json", "--limit", "1", str(tmp_path))
        assert code == 0
        assert [json.loads(line)["event"] for line in lines] == ["start", "file", "summary"]
        code, lines, _ = await ingest(environment, str(tmp_path))
        assert code == 0
        assert lines[0] == "2 audio files found"
        assert lines[-2] == "2/2 imported A - Two"
        assert lines[-1] == "1 imported, 1 known, 0 skipped, 0 failed"


async def lines_of(process: asyncio.subprocess.Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        async for line in process.stdout:
            yield json.loads(line)


@asynccontextmanager
async def running(environment: dict[str, str], *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = (sys.executable, "-m", "origin.ingest", "--json", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_an_import_that_was_killed_goes_on_with_exactly_the_rest(s3_bucket: s3.Bucket, tmp_path: Path) -> None:
    environment = environment_for(s3_bucket, tmp_path)
    for number in range(5):
        write_song(tmp_path / f"{number}.flac", title=f"Song {number}", tone_hz=300 + 50 * number)
    report, catalog = tmp_path / "report.jsonl", FakeCatalog()
    async with served(catalog) as address:
        environment["REPRISE_INGEST_CATALOG_ADDRESS"] = address
        async with running(environment, "--workers", "1", str(tmp_path)) as process:
            events = lines_of(process)
            while (await anext(events))["event"] != "file":
                pass
            process.kill()
        before = len(catalog.songs)
        assert 1 <= before < 5
        code, lines, _ = await ingest(environment, "--json", "--report", str(report), str(tmp_path))
    assert code == 0
    assert json.loads(lines[-1]) | {"event": ""} == {
        "event": "", "imported": 5 - before, "known": before, "skipped": 0, "failed": 0, "error": ""
    }  # fmt: skip
    assert (catalog.publishes, len(catalog.songs)) == (5, 5)
    assert report.read_text().splitlines() == lines


async def test_a_watched_folder_imports_files_when_they_are_whole_and_stops_when_told(
    s3_bucket: s3.Bucket, tmp_path: Path
) -> None:
    environment = environment_for(s3_bucket, tmp_path) | {"REPRISE_INGEST_WATCH_EVERY_S": "0.2"}
    whole, folder, catalog = tmp_path / "whole.flac", tmp_path / "folder", FakeCatalog()
    data = write_song(whole, 3.0, title="Slow").read_bytes()
    folder.mkdir()
    (folder / "broken.mp3").write_bytes(b"no music")
    async with served(catalog) as address:
        environment["REPRISE_INGEST_CATALOG_ADDRESS"] = address
        async with running(environment, "--watch", "--ladder", "opus:64", str(folder)) as process:
            events = lines_of(process)
            writing = asyncio.create_task(write_slowly(folder / "slow.flac", data))
            told = [event async for event in up_to_file(events, "slow.flac")]
            await writing
            process.terminate()
            assert await process.wait() == 0
    outcomes = [(Path(event["path"]).name, event["outcome"]) for event in told if event["event"] == "file"]
    assert outcomes == [("broken.mp3", "failed"), ("slow.flac", "imported")]
    assert catalog.song("Slow").source_sha256 == hashlib.sha256(data).hexdigest()


async def write_slowly(path: Path, data: bytes) -> None:
    """In pieces that come faster than the folder is scanned, over several scans."""
    with path.open("wb") as file:
        for at in range(0, len(data), len(data) // 40):
            file.write(data[at : at + len(data) // 40])
            file.flush()
            await asyncio.sleep(0.05)


async def up_to_file(events: AsyncIterator[dict[str, Any]], name: str) -> AsyncIterator[dict[str, Any]]:
    async for event in events:
        yield event
        if event.get("path", "").endswith(name):
            return


@pytest.mark.parametrize(
    ("change", "path", "complaint"),
    [
        ({}, "nowhere", "import: no such file or folder: "),
        ({"REPRISE_INGEST_CATALOG_ADDRESS": None}, "", "import: setting 'catalog_address' is missing"),
        ({"REPRISE_INGEST_OPERATOR_KEY_PATH": "/dev/null/x"}, "", "import: operator_key_path: cannot read"),
        ({"REPRISE_INGEST_MANIFEST_KEY_PATH": "README"}, "", "import: manifest_key_path: README must hold"),
    ],
)
async def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, change: dict[str, str | None], path: str, complaint: str
) -> None:
    environment = environment_for(s3.Bucket("http://127.0.0.1:1", "none", tmp_path / "none"), tmp_path)
    (tmp_path / "short").write_text("12")
    environment["REPRISE_INGEST_CATALOG_ADDRESS"] = "127.0.0.1:1"
    for name, value in change.items():
        if value is None:
            del environment[name]
        else:
            environment[name] = value.replace("README", str(tmp_path / "short"))
    code, lines, errors = await ingest(environment, str(tmp_path / path))
    assert (code, lines) == (2, [])
    assert errors.count("\n") == 1
    assert errors.startswith(complaint.replace("README", str(tmp_path / "short")))
