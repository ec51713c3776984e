"""Which renditions a song gets: `opus:96,opus:160,aac:128,flac`, in the order in which a song lists them. Pure."""

import re
from dataclasses import dataclass

from reprise.errors import InvalidRequest

DEFAULT = "opus:96,opus:160,aac:128,flac"
RUNGS_MAX = 8
_RUNG = re.compile(r"(?P<codec>[a-z]+)(?::(?P<kbps>\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class Coding:
    """How a codec is made. `rates_hz`: the source's rate is kept when listed, else the first is used; empty keeps any."""

    encoder: str
    mime_type: str
    kbps_min: int = 0
    kbps_max: int = 0
    rates_hz: tuple[int, ...] = ()


CODINGS = {
    "opus": Coding("libopus", 'audio/mp4; codecs="opus"', 32, 320, (48_000,)),
    # No higher rates: not every phone decodes them, and nobody hears them.
    "aac": Coding("aac", 'audio/mp4; codecs="mp4a.40.2"', 64, 320, (48_000, 44_100)),
    "flac": Coding("flac", 'audio/mp4; codecs="fLaC"'),
}
LOSSLESS_RATE_HZ_MAX = 192_000


@dataclass(frozen=True, slots=True)
class Rung:
    """One rendition to make. `kbps` is 0 for a lossless one, which only a lossless source gets."""

    codec: str
    kbps: int = 0

    @property
    def name(self) -> str:
        return f"{self.codec}-{self.kbps}" if self.kbps else self.codec

    @property
    def coding(self) -> Coding:
        return CODINGS[self.codec]

    def rate_hz(self, source_hz: int) -> int:
        """The rate of the rendition of a source of `source_hz`."""
        if rates := self.coding.rates_hz:
            return source_hz if source_hz in rates else rates[0]
        while source_hz > LOSSLESS_RATE_HZ_MAX:
            source_hz //= 2
        return source_hz


def parse(text: str) -> tuple[Rung, ...]:
    """The rungs that `text` lists. Raises InvalidRequest that names the one that makes no sense."""
    rungs = tuple(_rung(part.strip()) for part in text.split(","))
    if len(rungs) > RUNGS_MAX:
        raise InvalidRequest(f"ladder: at most {RUNGS_MAX} renditions, not {len(rungs)}")
    if len(set(rungs)) < len(rungs):
        raise InvalidRequest(f"ladder: {text!r} lists a rendition twice")
    if not any(rung.kbps for rung in rungs):
        raise InvalidRequest(f"ladder: {text!r} leaves songs with a lossy source without a rendition: add opus or aac")
    return rungs


def _rung(text: str) -> Rung:
    match = _RUNG.fullmatch(text)
    coding = CODINGS.get(match["codec"]) if match else None
    if match is None or coding is None:
        raise InvalidRequest(f"ladder: {text[:40]!r} is not like opus:96, aac:128 or flac")
    kbps = int(match["kbps"] or 0)
    if not coding.kbps_min <= kbps <= coding.kbps_max:
        bounds = f"{coding.kbps_min} to {coding.kbps_max} kb/s" if coding.kbps_max else "no bitrate"
        raise InvalidRequest(f"ladder: {match['codec']} has {bounds}, not {text[:40]!r}")
    return Rung(match["codec"], kbps)
