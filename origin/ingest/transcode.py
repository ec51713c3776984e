"""Decodes a file once: measures its loudness and encodes every rendition of the ladder on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from origin.ingest.decoding import BadAudio, Sound
from origin.ingest.encoding import Encoded, Encoder, TooLarge
from origin.ingest.ladder import Rung
from origin.ingest.loudness import Loudness, Meter


@dataclass(frozen=True, slots=True)
class Transcoded:
    """What a file became. `notes` say what it did not become, for people."""

    renditions: tuple[Encoded, ...]
    loudness: Loudness | None
    notes: tuple[str, ...]


def transcode(source: Path, folder: Path, ladder: Sequence[Rung], song_s_max: float) -> Transcoded:
    """Every rendition of `source`, as files in `folder`. Raises BadAudio with the reason, or BadRendition."""
    try:
        with av.open(str(source), metadata_errors="replace") as container:
            return _transcode(Sound(container), folder, ladder, song_s_max)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", "") or error)
        raise BadAudio(f"cannot transcode it: {reason}") from None


def _transcode(sound: Sound, folder: Path, ladder: Sequence[Rung], song_s_max: float) -> Transcoded:
    encoders = [Encoder(rung, folder, sound) for rung in ladder if rung.kbps or sound.lossless]
    meter = Meter(sound.rate_hz, sound.layout)
    for frame in sound.frames(song_s_max):
        for encoder in encoders:
            encoder.write(frame)
        meter.push(frame)
    renditions, notes = [], []
    for encoder in encoders:
        try:
            renditions.append(encoder.finish(sound))
        except TooLarge as reason:
            notes.append(str(reason))
    if not renditions:
        raise BadAudio("; ".join(notes))
    return Transcoded(tuple(renditions), meter.finish(), tuple(notes))
