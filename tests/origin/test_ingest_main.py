"""`python -m origin.ingest` as a process: its lines, its exit codes."""

import asyncio
import json
import os
import sys
from pathlib import Path

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
