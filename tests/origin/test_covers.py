"""Which picture becomes a song's cover, and its sizes."""

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from origin.ingest.covers import COVER_BYTES_MAX, Cover, make_cover
from tests.origin.sound import picture

PNG, JPEG = picture(100, 100), picture(100, 100, "JPEG")
ORIENTATION, ROTATED_RIGHT = 0x0112, 6


def made(embedded: bytes, folder: Path) -> tuple[Cover | None, tuple[str, ...]]:
    into = folder / "out"
    into.mkdir(exist_ok=True)
    return make_cover(embedded, folder, into)


def cover_of(data: bytes, folder: Path) -> Cover:
    cover, notes = made(data, folder)
    assert (cover is None, notes) == (False, ())
    assert cover is not None
    return cover


def sizes(cover: Cover) -> dict[int, tuple[int, int]]:
    return {size: Image.open(cover.size_path(size)).size for size in cover.sizes_px}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_is_known_by_its_content_and_kept_as_it_is(tmp_path: Path, kind: str) -> None:
    data = picture(100, 100, kind)
    cover = cover_of(data, tmp_path)
    assert (cover.mime_type, cover.sha256) == (f"image/{kind.lower()}", hashlib.sha256(data).hexdigest())
    assert Path(cover.path).read_bytes() == data


def test_a_cover_comes_in_every_smaller_size_and_is_never_blown_up(tmp_path: Path) -> None:
    assert sizes(cover_of(picture(2000, 1000), tmp_path)) == {
        96: (96, 48),
        320: (320, 160),
        640: (640, 320),
        1280: (1280, 640),
    }
    assert sizes(cover_of(picture(300, 320), tmp_path)) == {96: (90, 96)}
    assert sizes(cover_of(picture(64, 64), tmp_path)) == {}


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("PNG", "I;16"), ("JPEG", "CMYK"), ("GIF", "L")]
)
def test_sizes_are_plain_jpegs_whatever_the_colours_of_the_original(tmp_path: Path, kind: str, mode: str) -> None:
    data = picture(200, 200, kind) if mode == "I;16" else picture(200, 200, kind, mode)
    with Image.open(cover_of(data, tmp_path).size_path(96)) as small:
        assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (96, 96))


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (200, 200), (0, 0, 0, 0)).save(out, "PNG")
    with Image.open(cover_of(out.getvalue(), tmp_path).size_path(96)) as small:
        assert small.getpixel((48, 48)) == (255, 255, 255)


def test_a_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATED_RIGHT
    assert sizes(cover_of(picture(400, 200, "JPEG", exif=exif), tmp_path))[96] == (48, 96)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<svg onload=...>", "neither JPEG, PNG, WebP nor GIF"),
        (PNG[: len(PNG) // 2], "it is damaged"),
        (JPEG[:200], "it is damaged"),
        (PNG + bytes(COVER_BYTES_MAX), "it has over 8 MiB"),
        (picture(8000, 7000, "PNG", "1"), "it has 8000 x 7000 pixels"),
    ],
)
def test_what_is_no_picture_leaves_the_song_without_a_cover_and_says_why(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    cover, notes = made(data, tmp_path)
    assert cover is None
    assert len(notes) == 1
    assert reason in notes[0]


def test_the_embedded_picture_wins_over_the_folders(tmp_path: Path) -> None:
    (tmp_path / "cover.jpg").write_bytes(JPEG)
    assert Path(cover_of(PNG, tmp_path).path).read_bytes() == PNG


@pytest.mark.parametrize("name", ["cover.jpg", "Folder.PNG", "front.webp"])
def test_the_folders_image_is_the_cover_when_none_is_embedded(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(JPEG)
    assert Path(cover_of(b"", tmp_path).path).read_bytes() == JPEG


def test_without_any_there_is_none_and_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "scan-of-the-receipt.jpg").write_bytes(JPEG)
    (tmp_path / "cover.png").mkdir()
    assert made(b"", tmp_path) == (None, ())
