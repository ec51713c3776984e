"""Makes audio files: tones with tags, by libav. No audio is kept in the repository."""

import array
import io
import math
import random
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from PIL import Image

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


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """A picture of many colours."""
    grey = Image.linear_gradient("L").resize((width, height))
    out = io.BytesIO()
    Image.merge("RGB", (grey, grey.rotate(90), grey.rotate(180))).convert(mode).save(out, kind, **options)
    return out.getvalue()


PNG = picture(8, 8)


def write_noise(
    path: Path, seconds: float, *, rate_hz: int = 48_000, channels: int = 2, bits: int = 16, level: float = 0.5
) -> Path:
    """A WAV file of soft noise, the same each time: no two moments of it are alike."""
    rng, value, samples = random.Random(7), 0.0, bytearray()
    peak = 2 ** (bits - 1) - 1
    for _ in range(round(seconds * rate_hz)):
        # What no codec keeps, the highest notes, is left out.
        value = 0.8 * value + 0.2 * rng.uniform(-1, 1)
        samples += round(level * peak * value).to_bytes(bits // 8, "little", signed=True) * channels
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(bits // 8)
        out.setframerate(rate_hz)
        out.writeframes(bytes(samples))
    return path


def decoded_s(path: Path) -> float:
    """Seconds of sound that libav decodes from the file at `path`."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return float(sum(frame.samples for frame in container.decode(stream)) / stream.rate)
