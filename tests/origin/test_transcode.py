"""Renditions: whole, playable by offset, the same bytes each time; and files that are no songs."""

from pathlib import Path

import av
import pytest

from origin.ingest.transcode import BadAudio, Encoded, transcode
from tests.origin.sound import decoded_s, write_song


def both(source: Path, folder: Path) -> list[Encoded]:
    folder.mkdir(exist_ok=True)
    return transcode(source, folder, song_s_max=60)


def boxes(data: bytes) -> list[tuple[str, bytes]]:
    """(type, payload) of every MP4 box of interest, containers opened."""
    found, at = [], 0
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8].decode("latin-1")
        payload = data[at + 8 : at + size]
        found.append((kind, payload))
        if kind in ("moov", "trak", "mdia", "moof", "traf", "edts"):
            found += boxes(payload)
        at += size
    return found


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".opus", ".m4a", ".wav"])
@pytest.mark.parametrize(("rate_hz", "channels", "seconds"), [(48_000, 2, 2.5), (44_100, 1, 1.234)])
def test_renditions_last_as_long_as_their_source(
    tmp_path: Path, suffix: str, rate_hz: int, channels: int, seconds: float
) -> None:
    source = write_song(tmp_path / f"song{suffix}", seconds, rate_hz=rate_hz, channels=channels)
    for encoded in both(source, tmp_path / "out"):
        assert decoded_s(Path(encoded.path)) == pytest.approx(decoded_s(source), abs=0.05)
        assert encoded.duration_ms == pytest.approx(seconds * 1000, abs=50)
        assert encoded.channels == channels


def test_the_ladder_is_opus_and_aac_at_their_rates(tmp_path: Path) -> None:
    opus, aac = both(write_song(tmp_path / "song.flac", rate_hz=44_100), tmp_path / "out")
    assert (opus.codec, opus.sample_rate_hz, opus.mime_type) == ("opus", 48_000, 'audio/mp4; codecs="opus"')
    assert (aac.codec, aac.sample_rate_hz, aac.mime_type) == ("aac", 44_100, 'audio/mp4; codecs="mp4a.40.2"')
    for encoded in (opus, aac):
        with av.open(encoded.path) as container:
            assert container.streams.audio[0].codec_context.name == encoded.codec


def test_the_same_file_gives_the_same_bytes_again(tmp_path: Path) -> None:
    source = write_song(tmp_path / "song.mp3", 2.0, title="again")
    first, second = both(source, tmp_path / "one"), both(source, tmp_path / "two")
    for a, b in zip(first, second, strict=True):
        assert Path(a.path).read_bytes() == Path(b.path).read_bytes()


def test_fragments_of_a_second_stand_behind_an_index_and_times_start_at_zero(tmp_path: Path) -> None:
    for encoded in both(write_song(tmp_path / "song.flac", 3.5), tmp_path / "out"):
        found = boxes(Path(encoded.path).read_bytes())
        kinds = [kind for kind, _ in found]
        times = [int.from_bytes(payload[4:], signed=True) for kind, payload in found if kind == "tfdt"]
        assert kinds.count("sidx") == 1
        assert kinds.index("sidx") < kinds.index("moof")
        assert kinds.count("moof") == 4
        assert times[0] == 0
        assert times == sorted(times)
        assert times[-1] == pytest.approx(3 * encoded.sample_rate_hz, rel=0.03)
        assert "elst" not in kinds
        assert "mfra" not in kinds


def test_a_text_file_with_an_audio_name_says_so(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp3"
    path.write_text("these are my notes\n" * 100)
    with pytest.raises(BadAudio, match="cannot transcode it: Invalid data found"):
        both(path, tmp_path / "out")


def test_an_empty_file_is_no_song(tmp_path: Path) -> None:
    path = tmp_path / "empty.flac"
    path.touch()
    with pytest.raises(BadAudio, match="there is no sound in it"):
        both(path, tmp_path / "out")


def test_a_file_that_was_cut_says_how_much_is_there(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.flac", 12.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(BadAudio, match=r"it is cut short: \d\.\d s of 12.0 s"):
        both(path, tmp_path / "out")


def test_a_file_with_damage_all_over_is_no_song(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.m4a", 12.0)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 80_000] = bytes(i * 37 % 251 for i in range(min(80_000, len(data) - start)))
    path.write_bytes(data)
    with pytest.raises(BadAudio):
        both(path, tmp_path / "out")


def test_one_bad_spot_does_not_make_a_song_unplayable(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.mp3", 12.0)
    data = bytearray(path.read_bytes())
    data[60_000:60_200] = bytes(200)
    path.write_bytes(data)
    assert both(path, tmp_path / "out")[0].duration_ms == pytest.approx(12_000, abs=300)


def test_a_song_longer_than_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAudio, match="longer than"):
        transcode(write_song(tmp_path / "song.wav", 3.0), tmp_path, song_s_max=2)
