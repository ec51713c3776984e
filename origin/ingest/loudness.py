"""How loud a song is by EBU R128 (ITU-R BS.1770), measured by libav's `ebur128` filter while the song is decoded."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.filter import Graph

# What the filter says of silence, and of sound shorter than the 0.4 s that a measurement takes.
_UNMEASURED_LUFS = -70.0
# The range is that of values over 3 s each: shorter sound has none (and the filter says 20).
RANGE_S_MIN = 3.2


@dataclass(frozen=True, slots=True)
class Loudness:
    """Integrated loudness, the highest true peak of all channels, and the range."""

    integrated_lufs: float
    true_peak_dbtp: float
    range_lu: float


class Meter:
    """Measures what `push` is given: `fltp` frames in order."""

    def __init__(self, rate_hz: int, layout: str) -> None:
        # Kept: its filters do not keep it, and are gone with it.
        self._graph = graph = Graph()
        self._source: Any = graph.add_abuffer(sample_rate=rate_hz, format="fltp", layout=layout)
        meter = graph.add("ebur128", "metadata=1:peak=true:framelog=quiet")
        self._sink: Any = graph.add("abuffersink")
        self._source.link_to(meter)
        meter.link_to(self._sink)
        graph.configure()
        self._rate_hz = rate_hz
        self._layout = layout
        self._samples = 0
        self._last: dict[str, str] = {}

    def push(self, frame: AudioFrame) -> None:
        """Takes the next frame."""
        self._source.push(frame)
        self._samples += frame.samples
        self._pull()

    def finish(self) -> Loudness | None:
        """The measurement of all that was pushed; None of silence and of less than 0.4 s."""
        # The filter tells at each full tenth of a second: silence up to the next one lets it tell of the song's end too.
        if rest := -self._samples % (self._rate_hz // 10):
            self.push(self._silence(rest))
        self._source.push(None)
        self._pull()
        measured = {name: float(self._last.get(f"lavfi.r128.{name}", "nan")) for name in ("I", "true_peak", "LRA")}
        peak = measured["true_peak"]
        if not (measured["I"] > _UNMEASURED_LUFS and peak > 0 and math.isfinite(measured["LRA"])):
            return None
        range_lu = measured["LRA"] if self._samples > RANGE_S_MIN * self._rate_hz else 0.0
        return Loudness(round(measured["I"], 2), round(20 * math.log10(peak), 2), round(range_lu, 2))

    def _silence(self, samples: int) -> AudioFrame:
        frame = AudioFrame(format="fltp", layout=self._layout, samples=samples)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = self._rate_hz, self._samples, Fraction(1, self._rate_hz)
        return frame

    def _pull(self) -> None:
        """Each frame that comes out says how loud everything up to it was."""
        while True:
            try:
                self._last = self._sink.pull().metadata or self._last
            except (av.BlockingIOError, av.EOFError):
                return
