"""Which picture becomes a song's cover."""

import hashlib
from pathlib import Path

import pytest

from origin.ingest.covers import COVER_BYTES_MAX, choose_cover, cover_of
from tests.origin.sound import PNG

JPEG = b"\xff\xd8\xff\xe0" + bytes(40)
WEBP = b"RIFF\x00\x00\x00\x00WEBP" + bytes(40)


@pytest.mark.parametrize(("data", "mime_type"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp")])
def test_a_picture_is_known_by_its_first_bytes(data: bytes, mime_type: str) -> None:
    cover = cover_of(data)
    assert cover is not None
    assert (cover.mime_type, cover.sha256) == (mime_type, hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("data", [b"", b"<svg onload=...>", b"GIF89a", PNG + bytes(COVER_BYTES_MAX)])
def test_anything_else_or_too_large_is_no_cover(data: bytes) -> None:
    assert cover_of(data) is None


def test_the_embedded_picture_wins_over_the_folders(tmp_path: Path) -> None:
    (tmp_path / "cover.jpg").write_bytes(JPEG)
    chosen = choose_cover(PNG, tmp_path)
    assert chosen is not None
    assert chosen.data == PNG


@pytest.mark.parametrize("name", ["cover.jpg", "Folder.PNG", "front.webp"])
def test_the_folders_image_is_the_cover_when_none_is_embedded(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(JPEG)
    chosen = choose_cover(b"not a picture", tmp_path)
    assert chosen is not None
    assert chosen.data == JPEG


def test_without_any_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "scan-of-the-receipt.jpg").write_bytes(JPEG)
    (tmp_path / "cover.png").mkdir()
    assert choose_cover(b"", tmp_path) is None
