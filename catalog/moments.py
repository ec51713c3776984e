"""When a release comes out, and what becomes of a wish to change that. Pure; moments are Unix milliseconds.

Invariant: what is out stays out. A release has no moment (it was out when it came), one that is over, or one to come; only the
last may be moved.
"""

from datetime import UTC, datetime, timedelta

from reprise.errors import InvalidRequest, NotReady

AHEAD_MS_MAX = 366 * 86_400_000
# The last one that a database takes.
MOMENT_MS_MAX = 253_402_300_799_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_moment(title: str, kept: int | None, asked: int, now: int) -> int | None:
    """The moment to give to a release that has `kept`; None to leave it as it is. 0 asks for now.

    Raises InvalidRequest for a moment that is over or too far, NotReady for a release that is out.
    """
    out = kept is None or kept <= now
    if asked == kept or (out and asked == 0):
        return None
    if asked == 0:
        return now
    if asked <= now:
        raise InvalidRequest(f"at_unix_ms {asked} ({text(asked)}) is over: give a moment to come, or 0 for now")
    if asked > now + AHEAD_MS_MAX:
        raise InvalidRequest(f"at_unix_ms {asked} ({text(asked)}) is over a year away")
    if out:
        raise NotReady(f"release {title!r} is out already: a moment is given when its songs are imported")
    return asked


def check_agrees(title: str, of_release: int | None, of_song: int) -> None:
    """Raises NotReady when a song that asks for a moment would come out at another one, with its release."""
    if of_song and of_release is None:
        raise NotReady(f"release {title!r} is out already: songs on it cannot be held back until {text(of_song)}")
    if of_song and of_release != of_song:
        raise NotReady(f"release {title!r} comes out at {text(of_release or 0)}, not at {text(of_song)}: move it first")


def text(unix_ms: int) -> str:
    """For people, in UTC: "2026-12-01T00:00Z", with seconds where there are some."""
    moment = at(min(max(unix_ms, 0), MOMENT_MS_MAX)).replace(tzinfo=None)
    exact = "milliseconds" if unix_ms % 1000 else "seconds" if unix_ms % 60_000 else "minutes"
    return f"{moment.isoformat(timespec=exact)}Z"


def at(unix_ms: int) -> datetime:
    """The moment as the database takes it, to the millisecond: no float on the way."""
    return _EPOCH + timedelta(milliseconds=unix_ms)


def unix_ms(moment: datetime | None) -> int | None:
    """The reverse of `at`, None for None."""
    return None if moment is None else (moment - _EPOCH) // timedelta(milliseconds=1)
