"""The newest heartbeat of each listener, song and device, up to a bound. Pure."""

from collections.abc import Iterator

from catalog.resuming.beats import Beat
from catalog.resuming.resume import Outcome, Point


class Full(Exception):
    """No room for a further device's heartbeat."""


class Pending:
    """Heartbeats that wait, oldest keys first."""

    def __init__(self, beats_max: int) -> None:
        self._beats_max = beats_max
        self._songs: dict[tuple[str, str], dict[str, Beat]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Beat]:
        return (beat for devices in self._songs.values() for beat in devices.values())

    def offer(self, beat: Beat) -> tuple[Outcome, Point]:
        """What became of it, and the point that is kept of its device now. Raises Full."""
        devices = self._songs.get(beat.song, {})
        kept = devices.get(beat.point.device_id)
        if kept is not None and beat.point.place <= kept.point.place:
            return (Outcome.RESENT if beat.point.place == kept.point.place else Outcome.STALE), kept.point
        if kept is None:
            if self._count >= self._beats_max:
                raise Full
            self._count += 1
        self._songs.setdefault(beat.song, devices)[beat.point.device_id] = beat
        return Outcome.ACCEPTED, beat.point

    def points_of(self, user_id: str, song_id: str) -> list[Point]:
        return [beat.point for beat in self._songs.get((user_id, song_id), {}).values()]

    def drop(self, beat: Beat) -> None:
        """It need not wait any more; a newer one that came meanwhile stays."""
        devices = self._songs.get(beat.song, {})
        if devices.get(beat.point.device_id) is beat:
            self._count -= 1
            del devices[beat.point.device_id]
            if not devices:
                del self._songs[beat.song]
