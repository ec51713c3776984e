"""Decodes a file once and encodes every rendition of the ladder, packaged as fragmented MP4.

Renditions are the same bytes whenever the same file is transcoded by the same libav (bit-exact flags, one thread per encoder),
so an import that was interrupted makes the same rendition ids again. Fragments last one second, behind one index (`sidx`);
there are no edit lists and decode times start at 0, so byte ranges of the file serve as HLS segments as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec.context import Flags

DURATION_ERROR_S_MAX = 0.05
# Some files have a few bad packets and play well; with more than this share something is really wrong.
BAD_PACKETS_SHARE = 0.01
BAD_PACKETS_ALWAYS = 3
# Containers whose header says how long the sound is; elsewhere libav guesses it.
_STATES_DURATION = frozenset(("flac", "wav", "aiff", "mov", "ape", "tta", "wv"))
_MOVFLAGS = "cmaf+dash+global_sidx+skip_trailer"


class BadAudio(Exception):
    """This file cannot become a song; the message is the reason for people."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A row of the ladder. `rates_hz`: the source's rate is kept when listed, else the first is used."""

    name: str
    encoder: str
    bitrate_bps: int
    rates_hz: tuple[int, ...]
    mime_type: str


LADDER = (
    Encoding("opus", "libopus", 96_000, (48_000,), 'audio/mp4; codecs="opus"'),
    Encoding("aac", "aac", 128_000, (48_000, 44_100), 'audio/mp4; codecs="mp4a.40.2"'),
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One finished rendition in a file."""

    codec: str
    path: str
    duration_ms: int
    sample_rate_hz: int
    channels: int
    mime_type: str


def transcode(source: Path, folder: Path, song_s_max: float) -> list[Encoded]:
    """Every rendition of `source`, as files in `folder`. Raises BadAudio with the reason."""
    try:
        with av.open(str(source), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise BadAudio("there is no sound in it")
            stream = container.streams.audio[0]
            outputs = [_Output(encoding, folder, stream) for encoding in LADDER]
            duration_s = _run(container, stream, outputs, song_s_max)
            return [output.finish(duration_s) for output in outputs]
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadAudio(f"cannot transcode it: {_reason(error)}") from None


def _run(container: Any, stream: Any, outputs: list["_Output"], song_s_max: float) -> float:
    """Feeds all outputs. Returns the seconds of sound that were decoded."""
    rate_hz, samples = stream.rate, 0
    # One shape for all outputs: a frame without a named layout (WAV) changes under a resampler and fits no second one.
    common = AudioResampler("fltp", _layout(stream), rate_hz)
    for frame in _frames(container, stream):
        # Times in the file may jump or be missing; what is heard is one sample after the other.
        frame.pts, frame.time_base = samples, Fraction(1, rate_hz)
        samples += frame.samples
        if samples > song_s_max * rate_hz:
            raise BadAudio(f"it is longer than {song_s_max / 3600:g} hours")
        for shaped in common.resample(frame):
            for output in outputs:
                output.write(shaped)
    if samples == 0:
        raise BadAudio("there is no sound in it")
    duration_s = float(samples / rate_hz)
    stated_s = _stated_duration_s(container, stream)
    if duration_s < 0.95 * stated_s - 1:
        raise BadAudio(f"it is cut short: {duration_s:.1f} s of {stated_s:.1f} s")
    return duration_s


def _frames(container: Any, stream: Any) -> Iterator[AudioFrame]:
    """Decoded frames; bad packets are left out as long as they are few."""
    packets = bad = 0
    for packet in container.demux(stream):
        packets += 1
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            bad += 1
            continue
        yield from frames
    if bad > max(BAD_PACKETS_ALWAYS, packets * BAD_PACKETS_SHARE):
        raise BadAudio(f"{bad} of its {packets} packets are damaged")


def _stated_duration_s(container: Any, stream: Any) -> float:
    if stream.duration is None or _STATES_DURATION.isdisjoint(container.format.name.split(",")):
        return 0.0
    return float(stream.duration * stream.time_base)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error)


class _Output:
    """One rendition being written."""

    def __init__(self, encoding: Encoding, folder: Path, source: Any) -> None:
        self._encoding = encoding
        self._path = folder / f"{encoding.name}.mp4"
        self._rate_hz = source.rate if source.rate in encoding.rates_hz else encoding.rates_hz[0]
        self._layout = _layout(source)
        options = {"movflags": _MOVFLAGS, "frag_duration": "1000000", "fflags": "+bitexact"}
        self._container = av.open(str(self._path), "w", format="mp4", options=options)
        stream: Any = self._container.add_stream(encoding.encoder, rate=self._rate_hz, layout=self._layout)
        encoder = stream.codec_context
        encoder.bit_rate = encoding.bitrate_bps
        encoder.flags |= Flags.bitexact
        encoder.thread_count = 1
        self._encoder = stream
        self._resampler = AudioResampler(encoder.format.name, self._layout, self._rate_hz)

    def write(self, frame: AudioFrame) -> None:
        for resampled in self._resampler.resample(frame):
            self._encode(resampled)

    def finish(self, duration_s: float) -> Encoded:
        """Closes the file and checks that it holds the whole song."""
        for rest in self._resampler.resample(None):
            if rest is not None:  # a resampler with nothing to do hands back the None
                self._encode(rest)
        self._encode(None)
        self._container.close()
        made_s = _packaged_duration_s(self._path)
        if abs(made_s - duration_s) > DURATION_ERROR_S_MAX:
            raise BadAudio(f"its {self._encoding.name} rendition has {made_s:.3f} s instead of {duration_s:.3f} s")
        return Encoded(
            codec=self._encoding.name,
            path=str(self._path),
            duration_ms=round(duration_s * 1000),
            sample_rate_hz=self._rate_hz,
            channels=1 if self._layout == "mono" else 2,
            mime_type=self._encoding.mime_type,
        )

    def _encode(self, frame: AudioFrame | None) -> None:
        for packet in self._encoder.encode(frame):
            self._container.mux(packet)


def _layout(stream: Any) -> str:
    return "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"


def _packaged_duration_s(path: Path) -> float:
    """The sum of the packets' durations: what a player that reads to the end gets."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        ticks = sum(packet.duration or 0 for packet in container.demux(stream))
        return float(ticks * (stream.time_base or 0))
