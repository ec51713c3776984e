"""From what taggers write to what the catalog stores. Pure: text in, `Tags` out. Dirty input is normal, never an error.

Sources are dictionaries of field names to values in order, the most trusted source first; a field is taken from the
first source that has something usable. Names follow the Picard mapping; how a format or reader punctuates them does not matter
("MUSICBRAINZ_ALBUMID", "MusicBrainz Album Id").
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Source = Mapping[str, Sequence[str]]

UNKNOWN_ARTIST = "Unknown artist"
TEXT_CHARS_MAX = 300
VALUES_MAX = 30

# Only what stands in no band's name ("AC/DC" and "Simon & Garfunkel" stay whole).
_ARTIST_SEPARATOR = re.compile(r"\s*;\s*|\s+/\s+|(\s+[(\[]?(?:feat\.?|ft\.?|featuring)\s+)", re.IGNORECASE)
_GENRE_SEPARATORS = re.compile(r"\s*[;,/|]\s*")
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?(?!\d)")
_YEAR = re.compile(r"(?<!\d)((?:1[89]|20)\d{2})(?!\d)")
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}\d{7}")
# "03 - x", "1-03 x", "03 x", but not "99 Luftballons".
_TRACK_PREFIX = re.compile(r"^(?:\d{1,3}\s*[-.)]\s+|\d-\d{2}\s+|0\d\s+|\d{2}[-.](?=\S))")


_MBID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_BARCODE = re.compile(r"\d{8,14}")
_RELEASE_KINDS = ("soundtrack", "live", "compilation", "ep", "single", "album")
_COMPILATION = ("compilation", "itunescompilation", "cpil", "tcmp")


@dataclass(frozen=True, slots=True)
class Credit:
    """An artist as named here; `join_phrase` follows the name ("A" + " feat. " + "B")."""

    name: str
    join_phrase: str = ""


@dataclass(frozen=True, slots=True)
class Tags:
    """What the catalog wants to know of a song; 0 and "" mean unknown."""

    title: str
    artists: tuple[Credit, ...]
    album: str = ""
    album_artists: tuple[Credit, ...] = ()
    genres: tuple[str, ...] = ()
    track_number: int = 0
    disc_number: int = 0
    date: str = ""
    isrcs: tuple[str, ...] = ()
    explicit: bool = False
    # MusicBrainz ids: of the recording, of the release and its group, and one per credit or none at all.
    recording_mbid: str = ""
    release_mbid: str = ""
    release_group_mbid: str = ""
    artist_mbids: tuple[str, ...] = ()
    album_artist_mbids: tuple[str, ...] = ()
    # One per entry of `artists` or none at all.
    artist_sort_names: tuple[str, ...] = ()
    # "album", "single", "ep", "compilation", "soundtrack", "live" or "".
    release_kind: str = ""
    label: str = ""
    barcode: str = ""


def tags_of(sources: Sequence[Source], file_stem: str, folder: str) -> Tags:
    """The tags in `sources`; what is missing comes from the file's name, then from its folder's."""

    spelled = [{_plain(name): values for name, values in source.items()} for source in sources]

    def first(*names: str) -> list[str]:
        found = (values for source in spelled for name in names if (values := _clean(source.get(name, ()))))
        return next(found, [])

    artists = credits_of(first("artist"), first("artists"))
    titles, tracks = first("title"), first("track", "tracknumber")
    title, track = one_title(titles, tracks, file_stem)
    if not title:
        named_artist, title = _from_file_name(file_stem, folder)
        artists = artists or ((Credit(named_artist),) if named_artist else ())
    artists = artists or (Credit(UNKNOWN_ARTIST),)
    album_artists = _no_number(credits_of(first("albumartist"), first("albumartists")), artists)
    return Tags(
        title=title,
        artists=artists,
        album="".join(first("album")[:1]),
        album_artists=album_artists,
        genres=_distinct(genre for text in first("genre") for genre in _GENRE_SEPARATORS.split(text)),
        track_number=_number(track),
        disc_number=_number(first("disc", "discnumber")),
        date=date_of(first("date", "year", "originaldate", "originalyear")),
        isrcs=_distinct(
            code for text in first("isrc", "tsrc") for code in _ISRC.findall(text.upper().replace("-", ""))
        ),
        explicit=first("itunesadvisory", "rtng")[:1] in (["1"], ["4"]),
        # By Picard's names "track id" is the recording; the track on its release ("release track id") is nothing to us.
        recording_mbid=_mbid(first("musicbrainztrackid", "musicbrainzrecordingid", "ufid")),
        release_mbid=_mbid(first("musicbrainzalbumid")),
        release_group_mbid=_mbid(first("musicbrainzreleasegroupid")),
        artist_mbids=_one_each(_mbids(first("musicbrainzartistid")), artists),
        album_artist_mbids=_one_each(_mbids(first("musicbrainzalbumartistid")), album_artists),
        artist_sort_names=_one_each(first("artistsort", "artistsortorder", "soar", "tsop"), artists),
        release_kind=release_kind(first("releasetype", "musicbrainzalbumtype"), first(*_COMPILATION)),
        label="".join(first("label", "publisher", "organization", "tpub")[:1]),
        barcode="".join(_BARCODE.findall("".join(first("barcode", "upc", "ean")[:1]))[:1]),
    )


def one_title(titles: Sequence[str], tracks: Sequence[str], file_stem: str) -> tuple[str, Sequence[str]]:
    """The song's title and track number of all that a file claims: some taggers add theirs to those of the file before.

    Of several titles it is the one that the file is named after, else the first; its track number is the one in the same place.
    """
    if len(titles) < 2:
        return "".join(titles), tracks
    named = [_plain(word) for word in re.split(r"[^\w']+", file_stem)]

    def likeness(title: str) -> int:
        plain = _plain(title)
        return max((len(word) for word in named if len(word) > 2 and (word in plain or plain in word)), default=0)

    at = max(range(len(titles)), key=lambda index: (likeness(titles[index]), -index))
    return titles[at], tracks[at : at + 1]


def release_kind(types: Sequence[str], compilation: Sequence[str]) -> str:
    """What kind of publication `types` name; what it is besides an album ("album; live") says more than that it is one."""
    named = {word.strip().casefold() for text in types for word in re.split(r"[;,/+]", text)}
    if compilation[:1] == ["1"]:
        named.add("compilation")
    return next((kind for kind in _RELEASE_KINDS if kind in named), "")


def credits_of(display: Sequence[str], names: Sequence[str]) -> tuple[Credit, ...]:
    """Credits from the displayed artist and, when the tagger wrote it, the list of single names.

    Names that occur in the display in order take their join phrases from it, so "A feat. B" stays as it was printed.
    """
    if len(names) > 1:
        joined = _joined_as_printed(display[0], names) if len(display) == 1 else ()
        return joined or _joined((name, ", ") for name in names)
    return _joined(pair for text in display or names for pair in _split(text))


def date_of(texts: Iterable[str]) -> str:
    """ISO 8601 as precise as known ("2004", "2004-05", "2004-05-01"), or "" when no text holds a year."""
    for text in texts:
        match = _DATE.match(text)
        if match and int(match[1]):
            year, month, day = match[1], int(match[2] or 0), int(match[3] or 0)
            if not 1 <= month <= 12:
                return year
            return f"{year}-{month:02}-{day:02}" if 1 <= day <= 31 else f"{year}-{month:02}"
        if year_inside := _YEAR.search(text):
            return year_inside[1]
    return ""


def _joined_as_printed(display: str, names: Sequence[str]) -> tuple[Credit, ...]:
    """Credits whose join phrases are what stands between the names in `display`; empty when they do not fit."""
    ends, starts, at = [], [], 0
    for name in names:
        start = display.casefold().find(name.casefold(), at)
        if start < 0 or (at == 0 and start > 0):
            return ()
        starts.append(start)
        at = start + len(name)
        ends.append(at)
    joins = [display[end:start] for end, start in zip(ends, starts[1:], strict=False)]
    if not all(joins) or ends[-1] != len(display):
        return ()
    return tuple(Credit(name, join) for name, join in zip(names, [*joins, ""], strict=True))


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Each artist in `text` with the phrase that joins it to the one before."""
    at, join = 0, ", "
    for separator in _ARTIST_SEPARATOR.finditer(text):
        yield text[at : separator.start()], join
        at, join = separator.end(), " feat. " if separator[1] else ", "
    yield text[at:].rstrip(")]") if join == " feat. " else text[at:], join


def _joined(names_and_joins: Iterable[tuple[str, str]]) -> tuple[Credit, ...]:
    """Credits without repetitions, each with the phrase that joins the next one to it."""
    kept: dict[str, tuple[str, str]] = {}
    for name, join in names_and_joins:
        if name.strip():
            kept.setdefault(name.strip().casefold(), (name.strip(), join))
    pairs = list(kept.values())[:VALUES_MAX]
    joins = [join for _, join in pairs[1:]]
    return tuple(Credit(name, join) for (name, _), join in zip(pairs, [*joins, ""], strict=False))


def _no_number(album_artists: tuple[Credit, ...], artists: tuple[Credit, ...]) -> tuple[Credit, ...]:
    """Nobody, when a tagger put a track number where the album's artist belongs."""
    number = len(album_artists) == 1 and re.fullmatch(r"\d{1,2}", album_artists[0].name)
    return () if number and album_artists[0] not in artists else album_artists


def _mbids(texts: Sequence[str]) -> list[str]:
    return [mbid for text in texts for mbid in _MBID.findall(text.lower())]


def _mbid(texts: Sequence[str]) -> str:
    return "".join(_mbids(texts)[:1])


def _one_each(values: Sequence[str], credits_: Sequence[Credit]) -> tuple[str, ...]:
    """The values when there is one per credit; a number that differs says nothing about who has which."""
    return tuple(values) if len(values) == len(credits_) else ()


def _plain(text: str) -> str:
    """Letters and digits only, lower case."""
    return "".join(filter(str.isalnum, text.casefold()))


def _from_file_name(stem: str, folder: str) -> tuple[str, str]:
    """(artist or "", title) from names such as "03 - Björk - Jóga" or "03. Jóga"."""
    text = " ".join(_clean([stem.replace("_", " ")]))
    rest = _TRACK_PREFIX.sub("", text)
    if not rest or rest.isdigit():
        return "", " ".join(_clean([folder, rest or text])) or "Untitled"
    artist, dash, title = rest.partition(" - ")
    return (artist, title) if dash and artist and title else ("", rest)


def _clean(values: Iterable[str]) -> list[str]:
    """Values without control characters and needless space, in composed form, cut to a sane length; empty ones dropped."""
    cleaned = []
    for value in values:
        printable = "".join(
            c if unicodedata.category(c)[0] != "C" else " " for c in unicodedata.normalize("NFC", value)
        )
        if text := " ".join(printable.split())[:TEXT_CHARS_MAX].strip():
            cleaned.append(text)
    return cleaned[:VALUES_MAX]


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    """Without repetitions that differ in case only; the first spelling stays."""
    kept: dict[str, str] = {}
    for value in values:
        if value.strip():
            kept.setdefault(value.strip().casefold(), value.strip())
    return tuple(kept.values())[:VALUES_MAX]


def _number(texts: Sequence[str]) -> int:
    """The number in front ("4/12" is 4); 0 when there is none or it makes no sense."""
    match = re.match(r"\s*(\d{1,4})(?!\d)", texts[0]) if texts else None
    return int(match[1]) if match else 0
