"""Writes one rendition: encoder, fragmented MP4, index by segments, and the proof that it decodes to the song.

Renditions are the same bytes whenever the same file is encoded by the same libav (bit-exact flags, one thread per encoder), so
an import that was interrupted makes the same rendition ids again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec.context import Flags

from origin.ingest import boxes
from origin.ingest.decoding import Sound
from origin.ingest.ladder import Rung

_MOVFLAGS = "cmaf+dash+global_sidx+skip_trailer"
# An importer holds a rendition in memory to upload it. An hour of CD sound as FLAC is about 350 MB.
RENDITION_BYTES_MAX = 1 << 30


class TooLarge(Exception):
    """This rendition has too many bytes; the song may have others."""


class BadRendition(Exception):
    """What was made is not what should have been made: a fault of ours or of libav, not of the file."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One finished rendition in a file. A decoder makes `delay_samples`, then the song's `samples`, then `padding_samples`."""

    codec: str
    path: str
    duration_ms: int
    sample_rate_hz: int
    channels: int
    mime_type: str
    delay_samples: int
    padding_samples: int
    samples: int


class Encoder:
    """One rendition being written to `folder`."""

    def __init__(self, rung: Rung, folder: Path, sound: Sound) -> None:
        self._rung = rung
        self._path = folder / f"{rung.name}.mp4"
        self._channels = sound.channels
        self._rate_hz = rung.rate_hz(sound.rate_hz)
        self._samples = 0
        self._delay: int | None = None
        frame_samples = _frame_samples(rung.codec, self._rate_hz)
        options = _muxing(self._rate_hz, frame_samples)
        self._container = av.open(str(self._path), "w", format="mp4", options=options)
        stream: Any = self._container.add_stream(rung.coding.encoder, rate=self._rate_hz, layout=sound.layout)
        encoder = stream.codec_context
        if rung.kbps:
            encoder.bit_rate = rung.kbps * 1000
        else:
            encoder.format = "s16" if sound.bits == 16 else "s32"
            encoder.options = {"frame_size": str(frame_samples)}
        encoder.flags |= Flags.bitexact
        encoder.thread_count = 1
        self._encoder = stream
        self._resampler = AudioResampler(encoder.format.name, sound.layout, self._rate_hz)

    def write(self, frame: AudioFrame) -> None:
        """Takes the song's next frame."""
        for resampled in self._resampler.resample(frame):
            self._encode(resampled)

    def finish(self, sound: Sound) -> Encoded:
        """Closes the file and checks it against the sound that was read. Raises TooLarge or BadRendition."""
        for rest in self._resampler.resample(None):
            if rest is not None:  # a resampler with nothing to do hands back the None
                self._encode(rest)
        self._encode(None)
        self._container.close()
        ticks = self._package()
        delay = self._delay or 0
        padding = _decoded_samples(self._path) - delay - self._samples
        self._check(sound, ticks, padding)
        return Encoded(
            codec=self._rung.codec,
            path=str(self._path),
            duration_ms=round(1000 * sound.samples / sound.rate_hz),
            sample_rate_hz=self._rate_hz,
            channels=self._channels,
            mime_type=self._rung.coding.mime_type,
            delay_samples=delay,
            padding_samples=padding,
            samples=self._samples,
        )

    def _encode(self, frame: AudioFrame | None) -> None:
        self._samples += frame.samples if frame else 0
        for packet in self._encoder.encode(frame):
            if self._delay is None:
                # An encoder dates its first packet before the song by what it makes before the song.
                self._delay = -(packet.pts or 0)
            self._container.mux(packet)

    def _package(self) -> int:
        """Puts the index by segments in; returns how long the file says it lasts, in samples."""
        if (size := self._path.stat().st_size) > RENDITION_BYTES_MAX:
            self._path.unlink()
            raise TooLarge(f"no {self._rung.name} rendition: it would have {size >> 20} MiB")
        try:
            pieces = boxes.with_segments(memoryview(self._path.read_bytes()))
            with self._path.open("wb") as file:
                file.writelines(pieces)
            index = boxes.index_of(memoryview(self._path.read_bytes()))
        except boxes.Malformed as error:
            raise BadRendition(f"its {self._rung.name} rendition is no proper file: {error}") from None
        return sum(index.segment_ticks)

    def _check(self, sound: Sound, ticks: int, padding: int) -> None:
        """Within one sample the rendition is as long as the song, by what was encoded, by the file, and decoded."""
        wanted = sound.samples * self._rate_hz / sound.rate_hz
        stated = ticks - (self._delay or 0)
        if abs(self._samples - wanted) > 1 or abs(stated - wanted) > 1 or padding < 0:
            raise BadRendition(
                f"its {self._rung.name} rendition has {self._samples} samples, states {stated} and decodes to "
                f"{self._samples + padding}, instead of {wanted:.1f}"
            )


def _frame_samples(codec: str, rate_hz: int) -> int:
    """Samples of each frame of an encoder. FLAC is told to make a twelfth of a second: its streamable subset allows that at
    every rate, and its fragments then last exactly a second at the usual ones."""
    return {"opus": rate_hz // 50, "aac": 1024, "flac": max(16, rate_hz // 12)}[codec]


def _muxing(rate_hz: int, frame_samples: int) -> dict[str, str]:
    """Options for fragments of whole frames that come closest to a second."""
    fragment_us = max(1, round(rate_hz / frame_samples)) * frame_samples * 1_000_000 // rate_hz
    return {"movflags": _MOVFLAGS, "frag_duration": str(fragment_us), "fflags": "+bitexact"}


def _decoded_samples(path: Path) -> int:
    """What a decoder makes of all packets, nothing left out."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.options = {"flags2": "+skip_manual"}
        return sum(frame.samples for frame in container.decode(stream))
