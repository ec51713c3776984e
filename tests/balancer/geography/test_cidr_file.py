"""The operator's file: named when it is wrong at start, followed when it changes, and never worse than it was."""

from ipaddress import ip_address
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from balancer.geography import cidr_file
from balancer.geography.cidr_file import CidrFile
from reprise.config import ConfigError
from reprise.prefixes import PrefixTable


class Followed:
    """A file, and what was last taken from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.registry = CollectorRegistry()
        reloads = Counter("reloads_total", "", ["result"], registry=self.registry)
        self.file = CidrFile(path, self._take, reloads)
        self._table = PrefixTable()

    def write(self, text: str | bytes) -> None:
        """As editors do: the new file takes the place of the old."""
        new = self.path.with_suffix(".new")
        new.write_bytes(text if isinstance(text, bytes) else text.encode())
        new.replace(self.path)

    def region(self) -> str | None:
        return self._table.find(ip_address("192.0.2.1"))

    def count(self, result: str) -> float:
        return self.registry.get_sample_value("reloads_total", {"result": result}) or 0.0

    def _take(self, table: PrefixTable) -> None:
        self._table = table


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path / "regions")


async def test_a_changed_file_is_taken_once(followed: Followed) -> None:
    followed.write("192.0.2.0/24 eu\n")
    followed.file.load()
    assert followed.region() == "eu"
    await followed.file.look()
    followed.write("192.0.2.0/24 us\n")
    await followed.file.look()
    await followed.file.look()
    assert (followed.region(), followed.count("taken"), followed.count("refused")) == ("us", 1, 0)


@pytest.mark.parametrize("content", ["192.0.2.0/24 eu\nberlin us\n", b"\xff\xfe", None])
async def test_a_bad_new_file_is_refused_and_the_old_prefixes_stay(
    followed: Followed, content: str | bytes | None
) -> None:
    followed.write("192.0.2.0/24 eu\n")
    followed.file.load()
    if content is None:
        followed.path.unlink()
    else:
        followed.write(content)
    await followed.file.look()
    await followed.file.look()
    assert (followed.region(), followed.count("refused")) == ("eu", 1), "said once, not at every look"
    followed.write("192.0.2.0/24 us\n")
    await followed.file.look()
    assert followed.region() == "us"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# eu\n192.0.2.0/24\n", "regions_cidr_path: .*regions: line 2: a prefix and a region"),
        (b"\xff\xfe", "regions_cidr_path: .*regions is not text in UTF-8"),
        (b"#" * 101, "regions_cidr_path: .*regions is over"),
        (None, "regions_cidr_path: cannot read .*regions: No such file"),
    ],
)
def test_a_bad_file_ends_the_start_with_one_line(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, content: bytes | None, message: str
) -> None:
    monkeypatch.setattr(cidr_file, "BYTES_MAX", 100)
    if content is not None:
        followed.write(content)
    with pytest.raises(ConfigError, match=message):
        followed.file.load()
