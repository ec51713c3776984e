"""An action that the spool took is on disk: it is there after a kill, it is counted, and the spool has a bound."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from catalog.resuming import spool as spool_module
from catalog.resuming.journal import Spooled, to_record
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.resume import Point, Save
from catalog.resuming.spool import Spool
from reprise.config import ConfigError
from reprise.errors import Unavailable

SPOOLED_UNIX_S = 1_700_000_000
BYTES_MAX = 1 << 20


def action(sequence: int, user: str = "listener") -> Spooled:
    return Spooled(user, Save(Point("song", "phone", 1000, False, 1, sequence, SPOOLED_UNIX_S * 1000), base_revision=3))


def fresh(folder: Path, bytes_max: int = BYTES_MAX) -> Spool:
    return Spool(folder, bytes_max, ResumeMetrics(CollectorRegistry()), lambda: SPOOLED_UNIX_S + 60.0)


@pytest.fixture
async def spool(tmp_path: Path, resume_metrics: ResumeMetrics) -> AsyncIterator[Spool]:
    spool = Spool(tmp_path, BYTES_MAX, resume_metrics, lambda: SPOOLED_UNIX_S + 60.0)
    yield spool
    await spool.close()


async def test_what_was_taken_is_there_for_the_next_process(tmp_path: Path) -> None:
    first = fresh(tmp_path)
    await asyncio.gather(*(first.append(action(number)) for number in range(50)))
    await first.close()
    second = fresh(tmp_path)
    assert second.of("listener") == [action(number) for number in range(50)]
    assert [record for segment in second.seal() for record in segment.records] == second.of("listener")
    await second.close()


async def test_an_answer_comes_after_the_record_and_the_name_of_its_file_are_synced(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    sync = os.fsync

    def told(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        synced.append((path.name, path.stat().st_size if path.is_file() else 0))
        sync(fd)

    monkeypatch.setattr(os, "fsync", told)
    size = len(to_record(action(1)))
    await spool.append(action(1))
    assert synced == [("0000000001.spool", size), (tmp_path.name, 0)]
    await spool.append(action(2))
    assert synced[2:] == [("0000000001.spool", 2 * size)]


async def test_many_at_once_share_a_sync(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0
    append = spool_module._append

    def counted(fd: int, data: bytes, folder: Path | None) -> None:
        nonlocal syncs
        syncs += 1
        append(fd, data, folder)

    monkeypatch.setattr(spool_module, "_append", counted)
    await asyncio.gather(*(spool.append(action(number)) for number in range(100)))
    assert syncs == 1
    assert len(spool.of("listener")) == 100


async def test_metrics_tell_depth_bytes_and_age(spool: Spool, registry: CollectorRegistry) -> None:
    await spool.append(action(1))
    await spool.append(action(2))
    assert registry.get_sample_value("reprise_catalog_spool_records") == 2
    assert registry.get_sample_value("reprise_catalog_spool_bytes") == 2 * len(to_record(action(1)))
    assert registry.get_sample_value("reprise_catalog_spool_age_seconds") == pytest.approx(60)
    for segment in spool.seal():
        spool.drop(segment)
    assert registry.get_sample_value("reprise_catalog_spool_records") == 0
    assert registry.get_sample_value("reprise_catalog_spool_bytes") == 0
    assert registry.get_sample_value("reprise_catalog_spool_age_seconds") == 0
    assert not spool


async def test_a_full_spool_says_so(tmp_path: Path) -> None:
    size = len(to_record(action(1)))
    spool = fresh(tmp_path, 2 * size)
    await spool.append(action(1))
    await spool.append(action(2))
    with pytest.raises(Unavailable, match="spool is full"):
        await spool.append(action(3))
    spool.drop(spool.seal()[0])
    await spool.append(action(3))
    await spool.close()


async def test_a_torn_end_is_counted_and_the_rest_is_kept(
    tmp_path: Path, resume_metrics: ResumeMetrics, registry: CollectorRegistry
) -> None:
    first = fresh(tmp_path)
    await first.append(action(1))
    await first.close()
    (path,) = tmp_path.glob("*.spool")
    path.write_bytes(path.read_bytes() + to_record(action(2))[:-3])
    second = Spool(tmp_path, BYTES_MAX, resume_metrics, lambda: 0.0)
    assert second.of("listener") == [action(1)]
    torn = registry.get_sample_value("reprise_catalog_spool_torn_bytes_total")
    assert torn == len(to_record(action(2))) - 3
    # The torn file is never appended to: what comes later would stand behind what cannot be read.
    await second.append(action(3))
    await second.close()
    assert [one.save.point.sequence for one in fresh(tmp_path).of("listener")] == [1, 3]


async def test_a_disk_that_fails_refuses_and_the_next_action_is_taken(
    spool: Spool, registry: CollectorRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spool.append(action(1))
    append = spool_module._append

    def half(fd: int, data: bytes, _folder: Path | None) -> None:
        os.write(fd, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool_module, "_append", half)
    with pytest.raises(Unavailable, match="neither the database nor the spool"):
        await spool.append(action(2))
    assert registry.get_sample_value("reprise_catalog_spool_refused_total", {"cause": "disk"}) == 1
    monkeypatch.setattr(spool_module, "_append", append)
    await spool.append(action(3))
    await spool.close()
    assert [one.save.point.sequence for one in fresh(tmp_path).of("listener")] == [1, 3]
    spool._lock_fd = os.open(tmp_path, os.O_RDONLY)  # for the fixture to close


async def test_one_folder_is_for_one_catalog(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another catalog uses"):
        fresh(tmp_path)


async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"spool_dir: .*/file cannot be used"):
        fresh(tmp_path / "file")


_WRITER = """
import asyncio, sys
from pathlib import Path
from tests.catalog.resuming.test_spool import action, fresh

async def main():
    spool = fresh(Path(sys.argv[1]))
    for number in range(100_000):
        await spool.append(action(number))
        print(number, flush=True)

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WRITER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    answered = -1
    while answered < 20:
        answered = int(await asyncio.wait_for(process.stdout.readline(), 60))
    process.send_signal(signal.SIGKILL)
    for line in (await asyncio.wait_for(process.stdout.read(), 60)).splitlines(keepends=True):
        answered = int(line) if line.endswith(b"\n") else answered
    await process.wait()
    kept = [one.save.point.sequence for one in fresh(tmp_path).of("listener")]
    assert kept[: answered + 1] == list(range(answered + 1))
