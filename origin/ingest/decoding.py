"""Reads the sound of a file: frames of one shape, one after the other, whatever the file says of their times.

A few damaged packets are left out; a file that is cut short, damaged all over or too long is refused with the reason.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

# Some files have a few bad packets and play well; with more than this share something is really wrong.
BAD_PACKETS_SHARE = 0.01
BAD_PACKETS_ALWAYS = 3
SOUND_S_MIN = 0.01
# Containers whose header says how long the sound is; elsewhere libav guesses it.
_STATES_DURATION = frozenset(("flac", "wav", "aiff", "mov", "ape", "tta", "wv"))


class BadAudio(Exception):
    """This file cannot become a song; the message is the reason for people."""


class Sound:
    """The first sound stream of an open container. `samples` counts what `frames` has given, per channel."""

    def __init__(self, container: Any) -> None:
        if not container.streams.audio or not container.streams.audio[0].rate:
            raise BadAudio("there is no sound in it")
        self._container = container
        self._stream = container.streams.audio[0]
        self._codec = self._stream.codec_context
        self.rate_hz: int = self._stream.rate
        self.channels = 1 if self._codec.layout.nb_channels == 1 else 2
        self.samples = 0

    @property
    def layout(self) -> str:
        return "mono" if self.channels == 1 else "stereo"

    @property
    def lossless(self) -> bool:
        """Whether nothing was lost when the file was made; WavPack, which can be either, counts as lossless."""
        codec = self._codec.codec
        return bool(codec.lossless and (not codec.lossy or codec.name == "wavpack"))

    @property
    def bits(self) -> int:
        """How many bits of a sample are worth keeping: 16 or 24."""
        return 16 if self._codec.format.bytes <= 2 else 24

    def frames(self, song_s_max: float) -> Iterator[AudioFrame]:
        """All frames as `fltp`, which holds 24 bits exactly. Raises BadAudio."""
        # One shape for all outputs: a frame without a named layout (WAV) changes under a resampler and fits no second one.
        common = AudioResampler("fltp", self.layout, self.rate_hz)
        for frame in self._decoded():
            # Times in the file may jump or be missing; what is heard is one sample after the other.
            frame.pts, frame.time_base = self.samples, Fraction(1, self.rate_hz)
            self.samples += frame.samples
            if self.samples > song_s_max * self.rate_hz:
                raise BadAudio(f"it is longer than {song_s_max / 3600:g} hours")
            yield from common.resample(frame)
        self._check_length()

    def _decoded(self) -> Iterator[AudioFrame]:
        packets = bad = 0
        for packet in self._container.demux(self._stream):
            packets += 1
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                bad += 1
                continue
            yield from frames
        if bad > max(BAD_PACKETS_ALWAYS, packets * BAD_PACKETS_SHARE):
            raise BadAudio(f"{bad} of its {packets} packets are damaged")

    def _check_length(self) -> None:
        duration_s, stated_s = self.samples / self.rate_hz, self._stated_s()
        if self.samples == 0:
            raise BadAudio("there is no sound in it")
        if duration_s < SOUND_S_MIN:
            raise BadAudio(f"it is too short: {self.samples} samples")
        if duration_s < 0.95 * stated_s - 1:
            raise BadAudio(f"it is cut short: {duration_s:.1f} s of {stated_s:.1f} s")

    def _stated_s(self) -> float:
        if self._stream.duration is None or _STATES_DURATION.isdisjoint(self._container.format.name.split(",")):
            return 0.0
        return float(self._stream.duration * self._stream.time_base)
