"""One real mesh for all stories: three edges in two regions, two balancers, two origins, synthesised songs, one broken file."""

import json
import random
import urllib.request
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mesh.listener import Library
from tests.support.mesh import TestMesh, running_mesh
from tests.support.s3_access import S3Access
from tests.support.wait import wait_until

RATE_HZ = 48_000
# Every story takes songs that no other story has played: each is cold when its story begins. Paced songs may be warm.
SONGS = (
    {f"noise {n}": 20 for n in range(8)} | {f"paced {n}": 10 for n in range(6)} | {f"storm {n}": 60 for n in range(5)}
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.mesh)


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import."""
    folder = tmp_path_factory.mktemp("music") / "Hiss & Friends" / "First Noises"
    folder.mkdir(parents=True)
    for number, (title, seconds) in enumerate(SONGS.items()):
        write_noise(folder / f"{title}.wav", seconds, seed=number)
    (folder / "broken.ogg").write_bytes(b"OggS" + random.Random(1).randbytes(5_000))
    return folder.parent.parent


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory, music: Path, s3_access: S3Access) -> Iterator[TestMesh]:
    """The mesh, ready and with its music imported."""
    shape = ("--edges", "3", "--regions", "north,south", "--origins", "2", "--balancers", "2")
    audit = ("--s3-audit-port", str(s3_access.port))
    with pytest.MonkeyPatch.context() as environment:
        # Stories of releases cannot wait for half a minute.
        environment.setenv("REPRISE_BALANCER_CALENDAR_POLL_S", "0.5")
        # The stories count bytes of one Opus and one AAC rendition each; what else a ladder makes has tests of its own.
        environment.setenv("REPRISE_INGEST_LADDER", "opus:96,aac:128")
        with running_mesh(tmp_path_factory.mktemp("mesh") / "data", *shape, *audit, music=music) as running:
            yield running


@pytest.fixture(autouse=True)
async def everybody_is_up(request: pytest.FixtureRequest) -> None:
    """A story begins on a whole mesh, whatever the one before it has killed: the supervisor needs a moment."""
    if "mesh" not in request.fixturenames:
        return
    mesh: TestMesh = request.getfixturevalue("mesh")
    await wait_until(lambda: all(map(is_ready, every_http(mesh))), "every service is ready", 60)


def every_http(mesh: TestMesh) -> list[str]:
    value = mesh.json
    return [
        one["http"]
        for one in (value["catalog"], value["indexer"], *value["balancer"], *value["origin"], *value["edges"])
    ]


def is_ready(http: str) -> bool:
    try:
        with urllib.request.urlopen(f"{http}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="session")
def library(mesh: TestMesh) -> Library:
    """The songs of the mesh by title."""
    found = [
        song
        for word in ("noise", "paced", "storm")
        for song in json.loads(mesh.reprise("search", word, "--json", "--limit", "100").stdout)
    ]
    return Library({song["title"]: song["song_id"] for song in found})


def write_noise(path: Path, seconds: int, seed: int) -> None:
    """Noise, because an encoder cannot shrink it: a rendition has the size that its bitrate promises."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(random.Random(seed).randbytes(4 * RATE_HZ * seconds))
