"""Makes audio files: tones with tags, by libav. No audio is kept in the repository."""

import array
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame

# The smallest picture that has a PNG's first bytes; covers are told by those.
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
_ENCODERS = {".flac": "flac", ".mp3": "libmp3lame", ".opus": "libopus", ".m4a": "aac", ".wav": "pcm_s16le"}


def write_song(
    path: Path, seconds: float = 1.0, *, rate_hz: int = 48_000, channels: int = 2, tone_hz: float = 440.0, **tags: str
) -> Path:
    """A tone of exactly `seconds` in the format that the suffix of `path` names."""
    layout = "mono" if channels == 1 else "stereo"
    with av.open(str(path), "w") as container:
        container.metadata.update(tags)
        coded_hz = 48_000 if path.suffix == ".opus" else rate_hz
        stream: Any = container.add_stream(_ENCODERS[path.suffix], rate=coded_hz, layout=layout)
        resampler = av.AudioResampler(stream.codec_context.format.name, layout, coded_hz)
        for frame in [*_tone(round(seconds * rate_hz), rate_hz, layout, tone_hz), None]:
            for resampled in resampler.resample(frame):
                container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return path


def _tone(samples: int, rate_hz: int, layout: str, tone_hz: float) -> list[AudioFrame]:
    channels = 1 if layout == "mono" else 2
    frames = []
    for start in range(0, samples, rate_hz):
        count = min(rate_hz, samples - start)
        wave = (int(9_000 * math.sin(2 * math.pi * tone_hz * (start + i) / rate_hz)) for i in range(count))
        pcm = array.array("h", (sample for sample in wave for _ in range(channels))).tobytes()
        frame = AudioFrame(format="s16", layout=layout, samples=count)
        frame.planes[0].update(pcm.ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
        frames.append(frame)
    return frames


def decoded_s(path: Path) -> float:
    """Seconds of sound that libav decodes from the file at `path`."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return float(sum(frame.samples for frame in container.decode(stream)) / stream.rate)
