"""Renditions: whole to the sample, cut where their index says, the same bytes each time; and files that are no songs."""

import math
from array import array
from pathlib import Path
from typing import TypeAlias

import av
import pytest

from origin.ingest import boxes, encoding, ladder, worker
from origin.ingest.decoding import BadAudio
from origin.ingest.encoding import Encoded
from origin.ingest.job import Rejected
from origin.ingest.transcode import transcode
from tests.origin.sound import write_noise, write_song

LADDER = ladder.parse(ladder.DEFAULT)
Pcm: TypeAlias = "array[float]"


def every(source: Path, folder: Path) -> tuple[Encoded, ...]:
    folder.mkdir(exist_ok=True)
    return transcode(source, folder, LADDER, song_s_max=60).renditions


def pcm(path: Path, **options: str) -> Pcm:
    """What a decoder makes of the file, channels interleaved."""
    made = array("d")
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.options = options
        resampler = av.AudioResampler("dbl", stream.layout, stream.rate)
        for frame in container.decode(stream):
            for shaped in resampler.resample(frame):
                made.frombytes(bytes(shaped.planes[0])[: shaped.samples * 8 * len(stream.layout.channels)])
    return made


def trimmed(encoded: Encoded) -> Pcm:
    """The song's first channel as a player hears it that leaves out what the facts say."""
    made = pcm(Path(encoded.path), flags2="+skip_manual")[:: encoded.channels]
    assert len(made) == encoded.delay_samples + encoded.samples + encoded.padding_samples
    return made[encoded.delay_samples : encoded.delay_samples + encoded.samples]


def lag(heard: Pcm, wanted: Pcm, ratio: float) -> int:
    """By how many samples `heard`, of `ratio` times the rate of `wanted`, is late: where the cross-correlation peaks."""
    reach = min(30, len(heard) // 4)
    middle = range(len(heard) // 2 - min(2000, len(heard) // 4), len(heard) // 2 + min(2000, len(heard) // 4))

    def likeness(late: int) -> float:
        return sum(heard[at + late] * wanted[round(at / ratio)] for at in middle)

    return max(range(-reach, reach + 1), key=likeness)


@pytest.mark.parametrize(
    ("rate_hz", "channels", "seconds"),
    [(48_000, 2, 0.02), (48_000, 2, 2.7183), (44_100, 1, 0.02), (44_100, 2, 1.234), (96_000, 2, 1.0), (22_050, 1, 2.0)],
)
def test_renditions_are_the_source_to_the_sample_when_delay_and_padding_are_left_out(
    tmp_path: Path, rate_hz: int, channels: int, seconds: float
) -> None:
    source = write_noise(tmp_path / "song.wav", seconds, rate_hz=rate_hz, channels=channels)
    original = pcm(source)[::channels]
    for encoded in every(source, tmp_path / "out"):
        heard, ratio = trimmed(encoded), encoded.sample_rate_hz / rate_hz
        assert abs(len(heard) - len(original) * ratio) <= 1
        assert abs(lag(heard, original, ratio)) <= 1
        assert encoded.duration_ms == round(1000 * len(original) / rate_hz)
        assert encoded.channels == channels


@pytest.mark.parametrize("suffix", [".mp3", ".opus", ".m4a"])
def test_a_lossy_source_gives_the_sound_that_it_decodes_to(tmp_path: Path, suffix: str) -> None:
    source = write_song(tmp_path / f"song{suffix}", 1.5)
    renditions, samples = every(source, tmp_path / "out"), len(pcm(source)) // 2
    assert [(encoded.codec, encoded.samples) for encoded in renditions] == [
        ("opus", samples),
        ("opus", samples),
        ("aac", samples),
    ]


@pytest.mark.parametrize(("rate_hz", "bits"), [(44_100, 16), (96_000, 24), (8_000, 16)])
def test_flac_is_the_very_samples_of_its_source(tmp_path: Path, rate_hz: int, bits: int) -> None:
    source = write_noise(tmp_path / "song.wav", 1.3, rate_hz=rate_hz, bits=bits)
    flac = every(source, tmp_path / "out")[-1]
    assert (flac.codec, flac.sample_rate_hz, flac.delay_samples, flac.padding_samples) == ("flac", rate_hz, 0, 0)
    assert pcm(Path(flac.path)) == pcm(source)


def test_the_ladder_is_opus_twice_aac_and_flac_at_their_rates(tmp_path: Path) -> None:
    made = every(write_song(tmp_path / "song.flac", rate_hz=44_100), tmp_path / "out")
    assert [(encoded.codec, encoded.sample_rate_hz, encoded.mime_type) for encoded in made] == [
        ("opus", 48_000, 'audio/mp4; codecs="opus"'),
        ("opus", 48_000, 'audio/mp4; codecs="opus"'),
        ("aac", 44_100, 'audio/mp4; codecs="mp4a.40.2"'),
        ("flac", 44_100, 'audio/mp4; codecs="fLaC"'),
    ]
    assert Path(made[0].path).stat().st_size < Path(made[1].path).stat().st_size
    for encoded in made:
        with av.open(encoded.path) as container:
            assert container.streams.audio[0].codec_context.name == encoded.codec


def test_the_same_file_gives_the_same_bytes_again(tmp_path: Path) -> None:
    source = write_song(tmp_path / "song.flac", 2.0, title="again")
    first, second = every(source, tmp_path / "one"), every(source, tmp_path / "two")
    for a, b in zip(first, second, strict=True):
        assert Path(a.path).read_bytes() == Path(b.path).read_bytes()


def test_segments_are_one_second_and_then_four_and_play_on_their_own(tmp_path: Path) -> None:
    for encoded in every(write_song(tmp_path / "song.flac", 10.5, rate_hz=44_100), tmp_path / "out"):
        data = Path(encoded.path).read_bytes()
        index = boxes.index_of(memoryview(data))
        assert [round(ticks / index.timescale, 1) for ticks in index.segment_ticks] == pytest.approx(
            [1.0, 4.0, 4.0, 1.5], abs=0.11
        )
        assert sum(index.segment_ticks) == encoded.delay_samples + encoded.samples
        assert index.init_bytes + sum(index.segment_bytes) == len(data)
        second = (
            data[: index.header_bytes] + data[index.init_bytes + index.segment_bytes[0] :][: index.segment_bytes[1]]
        )
        (tmp_path / "part.mp4").write_bytes(second)
        assert len(pcm(tmp_path / "part.mp4", flags2="+skip_manual")) == 2 * index.segment_ticks[1]


def test_loudness_is_that_of_the_song_and_silence_has_none(tmp_path: Path) -> None:
    # By the definition of LUFS a sine of 997 Hz in both channels has as many as its peak has dBFS.
    tone = transcode(write_song(tmp_path / "tone.flac", 4.0, tone_hz=997), tmp_path, LADDER, 60).loudness
    assert tone is not None
    assert tone.integrated_lufs == pytest.approx(20 * math.log10(9_000 / 32_768), abs=0.1)
    assert tone.true_peak_dbtp == pytest.approx(20 * math.log10(9_000 / 32_768), abs=0.1)
    assert tone.range_lu == pytest.approx(0, abs=0.1)
    short = transcode(write_song(tmp_path / "short.flac", 3.0), tmp_path, LADDER, 60).loudness
    assert short is not None
    assert short.range_lu == 0, "a range takes more than the 3 s of one value"
    silence = write_noise(tmp_path / "silence.wav", 3.0, level=0)
    assert transcode(silence, tmp_path, LADDER, 60).loudness is None


def test_a_text_file_with_an_audio_name_says_so(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp3"
    path.write_text("these are my notes\n" * 100)
    with pytest.raises(BadAudio, match="cannot transcode it: Invalid data found"):
        every(path, tmp_path / "out")


def test_an_empty_file_is_no_song(tmp_path: Path) -> None:
    path = tmp_path / "empty.flac"
    path.touch()
    with pytest.raises(BadAudio, match="there is no sound in it"):
        every(path, tmp_path / "out")


def test_a_file_that_was_cut_says_how_much_is_there(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.flac", 12.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(BadAudio, match=r"it is cut short: \d\.\d s of 12.0 s"):
        every(path, tmp_path / "out")


def test_a_file_with_damage_all_over_is_no_song(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.m4a", 12.0)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 80_000] = bytes(i * 37 % 251 for i in range(min(80_000, len(data) - start)))
    path.write_bytes(data)
    with pytest.raises(BadAudio):
        every(path, tmp_path / "out")


def test_one_bad_spot_does_not_make_a_song_unplayable(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.mp3", 12.0)
    data = bytearray(path.read_bytes())
    data[60_000:60_200] = bytes(200)
    path.write_bytes(data)
    assert every(path, tmp_path / "out")[0].duration_ms == pytest.approx(12_000, abs=300)


def test_a_song_longer_than_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAudio, match="longer than"):
        transcode(write_song(tmp_path / "song.wav", 3.0), tmp_path, LADDER, song_s_max=2)


def test_a_rendition_that_decodes_to_less_than_the_song_is_a_fault_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_decoded_samples", lambda path: 47_000)
    source = write_song(tmp_path / "song.flac", 1.0)
    (tmp_path / "out").mkdir()
    assert worker.prepare(source, tmp_path / "out", LADDER, 60) == Rejected(
        "internal error: its opus-96 rendition has 48000 samples, states 48000 and decodes to 46688, instead of 48000.0"
    )
